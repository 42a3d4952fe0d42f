package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// callFlags are what put and txn have in common.
type callFlags struct {
	endpoint    string
	clients     int
	connections int
	total       int
	keySpace    int
	keySize     int
	valueSize   int
	keys        string
	timeout     time.Duration
	rate        int
	duration    time.Duration
}

func parseCallFlags(name string, arguments []string) callFlags {
	var f callFlags
	flags, endpoint := newFlags(name)
	flags.IntVar(&f.clients, "clients", 100, "callers at once")
	flags.IntVar(&f.connections, "conns", 10, "connections they share")
	flags.IntVar(&f.total, "total", 10_000, "calls in all")
	flags.IntVar(&f.keySpace, "key-space-size", 100_000, "different keys")
	flags.IntVar(&f.keySize, "key-size", 8, "bytes of a key")
	flags.IntVar(&f.valueSize, "val-size", 256, "bytes of a value")
	flags.StringVar(&f.keys, "keys", "random", "random, sequential, or registry (/registry/<namespace>/<random>)")
	flags.DurationVar(&f.timeout, "timeout", 0, "deadline of each call")
	flags.IntVar(&f.rate, "rate", 0, "calls per second, each timed from when it was due; 0: as fast as they go")
	flags.DurationVar(&f.duration, "duration", 0, "with --rate: how long, in place of --total")
	_ = flags.Parse(arguments)
	f.endpoint = *endpoint
	if f.duration > 0 {
		f.total = int(f.duration.Seconds() * float64(f.rate))
	}
	return f
}

// putCommand puts, as etcd's benchmark does, but with a deadline on every call and other shapes of keys.
func putCommand(arguments []string) (result, error) {
	f := parseCallFlags("put", arguments)
	value := string(make([]byte, f.valueSize))
	return f.run(func(ctx context.Context, client *clientv3.Client, i int) error {
		_, err := client.Put(ctx, f.key(i), value)
		return err
	})
}

// txnCommand writes a key if its version is not what it never is: a compare and a put in one transaction.
func txnCommand(arguments []string) (result, error) {
	f := parseCallFlags("txn", arguments)
	value := string(make([]byte, f.valueSize))
	return f.run(func(ctx context.Context, client *clientv3.Client, i int) error {
		key := f.key(i)
		response, err := client.Txn(ctx).If(clientv3.Compare(clientv3.Version(key), ">", -1)).Then(clientv3.OpPut(key, value)).Commit()
		if err == nil && !response.Succeeded {
			return fmt.Errorf("the compare of %q failed", key)
		}
		return err
	})
}

func (f callFlags) key(i int) string {
	switch f.keys {
	case "sequential":
		return fmt.Sprintf("%0*d", f.keySize, i%f.keySpace)
	case "registry":
		// Spread over 200 namespaces; the name is a hash of i, so that keys come in no order.
		n := uint64(i%f.keySpace) * 0x9e3779b97f4a7c15
		n ^= n >> 29
		n *= 0xbf58476d1ce4e5b9
		return fmt.Sprintf("/registry/namespace-%03d/%016x", n%200, n)
	default:
		return fmt.Sprintf("%0*d", f.keySize, rand.IntN(f.keySpace))
	}
}

func (f callFlags) run(do func(ctx context.Context, client *clientv3.Client, i int) error) (result, error) {
	clients := make([]*clientv3.Client, f.connections)
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{f.endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
		if err != nil {
			return result{}, err
		}
		defer client.Close()
		clients[i] = client
		if _, err := client.Get(context.Background(), "warm-up"); err != nil {
			return result{}, err
		}
	}
	var next atomic.Int64
	var mutex sync.Mutex
	var firstError error
	failed := 0
	latencies := make([]time.Duration, 0, f.total)
	var wait sync.WaitGroup
	began := time.Now()
	for worker := range f.clients {
		wait.Go(func() {
			client := clients[worker%len(clients)]
			mine := make([]time.Duration, 0, f.total/f.clients+1)
			errors := 0
			var firstMine error
			for {
				i := int(next.Add(1)) - 1
				if i >= f.total {
					break
				}
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if f.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, f.timeout)
				}
				start := time.Now()
				if f.rate > 0 {
					// From when it was due: a server that stalls also delays the calls that nobody was free to make.
					start = began.Add(time.Duration(i) * time.Second / time.Duration(f.rate))
					time.Sleep(time.Until(start))
				}
				err := do(ctx, client, i)
				cancel()
				if err != nil {
					errors++
					firstMine = err
					continue
				}
				mine = append(mine, time.Since(start))
			}
			mutex.Lock()
			defer mutex.Unlock()
			latencies = append(latencies, mine...)
			failed += errors
			if firstError == nil {
				firstError = firstMine
			}
		})
	}
	wait.Wait()
	r := summarize(latencies, time.Since(began), failed)
	if firstError != nil {
		r.FirstError = firstError.Error()
	}
	return r, nil
}
