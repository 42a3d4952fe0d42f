package main

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// leaderlessCommand kills the leader and tells how long it takes until a survivor acknowledges a write that was sent
// afterwards. A write that a follower forwarded to the dead leader is lost, and its caller hears of it seconds later: so
// new ones are sent all the time, to every survivor, and none is tried again.
func leaderlessCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("leaderless")
	pid := flags.Int("pid", 0, "process of the leader, which is killed")
	interval := flags.Duration("interval", 5*time.Millisecond, "between two writes to the same survivor")
	timeout := flags.Duration("timeout", time.Minute, "how long to try")
	_ = flags.Parse(arguments)
	if *pid <= 0 {
		return result{}, errors.New("--pid is missing")
	}

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	var survivors []pb.KVClient
	for survivor := range strings.SplitSeq(*endpoint, ",") {
		conn, err := dial(survivor)
		if err != nil {
			return result{}, err
		}
		defer conn.Close()
		survivors = append(survivors, pb.NewKVClient(conn))
	}
	put := func(kv pb.KVClient) error {
		_, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("leaderless"), Value: make([]byte, 256)})
		return err
	}
	for _, kv := range survivors {
		if err := put(kv); err != nil {
			return result{}, err
		}
	}

	if err := syscall.Kill(*pid, syscall.SIGKILL); err != nil {
		return result{}, err
	}
	killed := time.Now()
	acknowledged := make(chan time.Time, 1)
	ticker := time.NewTicker(*interval)
	defer ticker.Stop()
	for {
		select {
		case at := <-acknowledged:
			return summarize([]time.Duration{at.Sub(killed)}, at.Sub(killed), 0), nil
		case <-ctx.Done():
			return result{}, errors.New("no survivor acknowledged a write")
		case <-ticker.C:
			for _, kv := range survivors {
				go func() {
					if put(kv) != nil {
						return
					}
					select {
					case acknowledged <- time.Now():
					default: // Another was first.
					}
				}()
			}
		}
	}
}
