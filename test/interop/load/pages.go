package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// benchmarkKey is the key that etcd's benchmark tool makes of a number.
func benchmarkKey(n, size int) []byte {
	key := make([]byte, size)
	binary.PutVarint(key, int64(n))
	return key
}

// pagesCommand reads pages of keys out of a store that etcd's benchmark tool has filled (put --sequential-keys).
func pagesCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("pages")
	mode := flags.String("mode", "head", "head: pages anywhere, now; walk: all pages in order at one revision; old: pages anywhere, `back` revisions ago")
	size := flags.Int("size", 1000, "keys to a page")
	count := flags.Int("count", 100, "pages to read (walk: at most)")
	keys := flags.Int("keys", 1_000_000, "keys in the store")
	keySize := flags.Int("key-size", 32, "bytes of a key")
	back := flags.Int64("back", 100_000, "how many revisions ago, for old")
	putRate := flags.Int("put-rate", 0, "puts per second beside the reads")
	limit := flags.Duration("limit", time.Minute, "stops reading after this long")
	_ = flags.Parse(arguments)

	conn, err := dial(*endpoint)
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	ctx := context.Background()
	head, err := kv.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1})
	if err != nil {
		return result{}, err
	}
	revision := int64(0)
	switch *mode {
	case "walk":
		revision = head.Header.Revision
	case "old":
		revision = head.Header.Revision - *back
	case "head":
	default:
		return result{}, fmt.Errorf("unknown mode %q", *mode)
	}

	stop := make(chan struct{})
	var puts atomic.Int64
	stopped := make(chan error, 1)
	go func() { stopped <- putAtRate(*endpoint, *putRate, *keys, *keySize, &puts, stop) }()

	latencies := make([]time.Duration, 0, *count)
	from := []byte{0}
	began := time.Now()
	for len(latencies) < *count && time.Since(began) < *limit {
		if *mode != "walk" {
			from = benchmarkKey(rand.IntN(*keys), *keySize)
		}
		start := time.Now()
		page, err := kv.Range(ctx, &pb.RangeRequest{Key: from, RangeEnd: []byte{0}, Limit: int64(*size), Revision: revision})
		if err != nil {
			return result{}, err
		}
		if len(page.Kvs) < *size && *mode != "walk" {
			continue // Too near the end to be a whole page.
		}
		latencies = append(latencies, time.Since(start))
		if *mode == "walk" {
			if len(page.Kvs) == 0 || !page.More {
				break
			}
			from = append(bytes.Clone(page.Kvs[len(page.Kvs)-1].Key), 0)
		}
	}
	elapsed := time.Since(began)
	close(stop)
	if err := <-stopped; err != nil {
		return result{}, err
	}
	r := summarize(latencies, elapsed, 0)
	r.Extra = int(float64(puts.Load()) / elapsed.Seconds())
	return r, nil
}

// putAtRate overwrites existing keys at a steady rate until stopped; slow answers do not lower the rate, up to a bound.
func putAtRate(endpoint string, rate, keys, keySize int, done *atomic.Int64, stop <-chan struct{}) error {
	if rate == 0 {
		return nil
	}
	conn, err := dial(endpoint)
	if err != nil {
		return err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	value := make([]byte, 256)
	underWay := make(chan struct{}, 200)
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		select {
		case <-stop:
			return nil
		case underWay <- struct{}{}:
		}
		go func() {
			_, err := kv.Put(context.Background(), &pb.PutRequest{Key: benchmarkKey(rand.IntN(keys), keySize), Value: value}, grpc.WaitForReady(true))
			if err == nil {
				done.Add(1)
			}
			<-underWay
		}()
	}
}
