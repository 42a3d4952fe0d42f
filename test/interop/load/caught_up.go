package main

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Between two questions, and how long a member that is busy with a snapshot may leave one unanswered.
const (
	caughtUpInterval = 10 * time.Millisecond
	caughtUpPatience = 250 * time.Millisecond
)

// caughtUpCommand waits until the server reads from its own state what another one had reached just before, and tells when
// that was. A linearizable read would not do: one that begins before the server knows of a leader may wait for its
// timeout, however soon the server has caught up.
func caughtUpCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("caught-up")
	other := flags.String("with", "", "host:port of the server to catch up with")
	timeout := flags.Duration("timeout", time.Minute, "how long to try")
	_ = flags.Parse(arguments)

	conn, err := dial(*endpoint)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	otherConn, err := dial(*other)
	if err != nil {
		return result{}, err
	}
	defer otherConn.Close()
	revision := func(kv pb.KVClient) (int64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), caughtUpPatience)
		defer cancel()
		response, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte{0}, Serializable: true})
		if err != nil {
			return 0, err
		}
		return response.Header.Revision, nil
	}
	began := time.Now()
	for time.Since(began) < *timeout {
		target, err := revision(pb.NewKVClient(otherConn))
		if err == nil {
			var reached int64
			reached, err = revision(pb.NewKVClient(conn))
			if err == nil && reached >= target {
				now := time.Now()
				return result{Count: 1, Seconds: now.Sub(began).Seconds(), ReadyUnixMs: float64(now.UnixMicro()) / 1000}, nil
			}
		}
		conn.ResetConnectBackoff() // The server may have been started only now.
		time.Sleep(caughtUpInterval)
	}
	return result{}, errors.New("the server did not catch up")
}
