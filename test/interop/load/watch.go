package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchCommand opens many watchers on few keys and puts those keys at a fixed rate. The time of each put is in its value,
// so that every event tells how long it took to be delivered.
func watchCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("watch")
	streams := flags.Int("streams", 10, "watch streams, each on a connection of its own")
	watchers := flags.Int("watchers", 1000, "watchers on each stream")
	keys := flags.Int("keys", 100, "keys they watch")
	rate := flags.Int("rate", 100, "puts per second")
	duration := flags.Duration("duration", 10*time.Second, "how long to put")
	_ = flags.Parse(arguments)

	type received struct {
		latencies []time.Duration
		err       error
	}
	perPut := *streams * *watchers / *keys
	expected := int(duration.Seconds()*float64(*rate)) * perPut
	var arrived atomic.Int64
	results := make([]received, *streams)
	var created, finished sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for s := range *streams {
		conn, err := dial(*endpoint)
		if err != nil {
			return result{}, err
		}
		defer conn.Close()
		stream, err := pb.NewWatchClient(conn).Watch(ctx)
		if err != nil {
			return result{}, err
		}
		created.Add(1)
		finished.Add(1)
		go func() {
			for w := range *watchers {
				key := fmt.Appendf(nil, "watched/%03d", (s**watchers+w)%*keys)
				if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
					CreateRequest: &pb.WatchCreateRequest{Key: key},
				}}); err != nil {
					return // The receiving side tells why.
				}
			}
		}()
		go func() {
			defer finished.Done()
			latencies := make([]time.Duration, 0, expected / *streams + 1)
			open := 0
			for {
				response, err := stream.Recv()
				if err != nil {
					if open < *watchers {
						results[s].err = err
						created.Done()
					}
					results[s].latencies = latencies
					return
				}
				if response.Created {
					if open++; open == *watchers {
						created.Done()
					}
				}
				now := time.Now().UnixNano()
				for _, event := range response.Events {
					if len(event.Kv.Value) >= 8 {
						latencies = append(latencies, time.Duration(now-int64(binary.BigEndian.Uint64(event.Kv.Value))))
						arrived.Add(1)
					}
				}
			}
		}()
	}
	created.Wait()
	for _, r := range results {
		if r.err != nil {
			return result{}, r.err
		}
	}
	fmt.Println("watching") // Whoever measures the server's CPU begins here.

	conn, err := dial(*endpoint)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	ticker := time.NewTicker(time.Second / time.Duration(*rate))
	began := time.Now()
	total := expected / perPut
	failed := 0
	var puts sync.WaitGroup
	var failures atomic.Int64
	for i := range total {
		<-ticker.C
		puts.Go(func() {
			value := make([]byte, 256)
			binary.BigEndian.PutUint64(value, uint64(time.Now().UnixNano()))
			if _, err := kv.Put(ctx, &pb.PutRequest{Key: fmt.Appendf(nil, "watched/%03d", i%*keys), Value: value}); err != nil {
				failures.Add(1)
			}
		})
	}
	ticker.Stop()
	puts.Wait()
	failed = int(failures.Load())
	for deadline := time.Now().Add(20 * time.Second); int(arrived.Load()) < expected && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	elapsed := time.Since(began)
	cancel()
	finished.Wait()
	var all []time.Duration
	for _, r := range results {
		all = append(all, r.latencies...)
	}
	r := summarize(all, elapsed, failed)
	r.Extra = expected - r.Count // Events that never came.
	return r, nil
}
