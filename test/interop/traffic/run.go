package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	catchUpTimeout = 20 * time.Second
	maxViolations  = 20
)

// verdict is what `run` prints. Violations are what no client may see: a request that fails for good, a read that does not
// find what was written, a gap in a watch, a lease that ends early.
type verdict struct {
	Requests   int            `json:"requests"`
	Retries    int            `json:"retries"`
	Errors     map[string]int `json:"errors"` // those behind the retries
	LongestMs  int64          `json:"longestMs"`
	KeepAlives int            `json:"keepAlives"`
	Lapsed     int            `json:"lapsed"`  // leases that ended because no keep-alive came through for longer than their TTL
	Expired    int            `json:"expired"` // leases that nobody kept alive
	Events     map[string]int `json:"events"`
	Violations []string       `json:"violations"`
}

// run is what workers, watchers and leases share.
type run struct {
	client *clientv3.Client
	ctx    context.Context

	mutex    sync.Mutex
	verdict  verdict
	watchers map[string]*watcher
	first    int64 // the revision at which every watch begins
	leases   leaseBook
}

func runCommand(arguments []string) error {
	flags := flag.NewFlagSet("run", flag.ExitOnError)
	endpoints := flags.String("endpoints", "", "whom requests go to")
	watched := flags.String("watch", "", "members on which everything is watched")
	workers := flags.Int("workers", 6, "how many send requests at once")
	pause := flags.Duration("pause", 8*time.Millisecond, "between two requests of a worker")
	ttl := flags.Int64("lease-ttl", 5, "of the leases, in seconds")
	_ = flags.Parse(arguments)

	client, err := newClient(split(*endpoints)...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stopWork := context.WithCancel(context.Background())
	defer stopWork()
	r := &run{client: client, ctx: ctx, watchers: map[string]*watcher{}, leases: newLeaseBook(*ttl)}
	r.verdict.Errors = map[string]int{}
	r.verdict.Events = map[string]int{}
	r.verdict.Violations = []string{}
	head, err := r.retry(func(ctx context.Context) (int64, error) {
		answer, err := client.Put(ctx, "first", "")
		if err != nil {
			return 0, err
		}
		return answer.Header.Revision, nil
	})
	if err != nil {
		return err
	}
	r.first = head
	for _, endpoint := range split(*watched) {
		r.watch(endpoint)
	}
	var working sync.WaitGroup
	for n := range *workers {
		working.Go(func() { r.work(n, *pause) })
	}
	working.Go(r.compact)
	for n := range keptLeases {
		working.Go(func() { r.keepLease(n) })
	}
	working.Go(r.abandonLeases)
	fmt.Println("running")

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, operand, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "endpoints":
			client.SetEndpoints(split(operand)...)
		case "watch":
			r.watch(operand)
		case "unwatch":
			r.unwatch(operand)
		case "stop":
			stopWork()
			working.Wait()
			r.leases.awaitAbandoned(r)
			r.finishWatchers()
			return json.NewEncoder(os.Stdout).Encode(r.verdict)
		default:
			return fmt.Errorf("unknown command %q", command)
		}
		fmt.Println("done")
	}
	return lines.Err() // Nobody is there any more to hear a verdict.
}

func (r *run) violation(format string, values ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.verdict.Violations) < maxViolations {
		text := time.Now().UTC().Format("15:04:05.000 ") + fmt.Sprintf(format, values...)
		r.verdict.Violations = append(r.verdict.Violations, text)
	}
}

func (r *run) watch(endpoint string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.watchers[endpoint] == nil {
		r.watchers[endpoint] = startWatcher(r, endpoint, r.first)
	}
}

func (r *run) unwatch(endpoint string) {
	r.mutex.Lock()
	w := r.watchers[endpoint]
	delete(r.watchers, endpoint)
	r.mutex.Unlock()
	if w != nil {
		w.stop()
		r.mutex.Lock()
		r.verdict.Events[endpoint] += w.count()
		r.mutex.Unlock()
	}
}

// finishWatchers waits until every watch has delivered what was written last.
func (r *run) finishWatchers() {
	head, err := r.retry(func(ctx context.Context) (int64, error) {
		answer, err := r.client.Put(ctx, "last", "")
		if err != nil {
			return 0, err
		}
		return answer.Header.Revision, nil
	})
	if err != nil {
		return // It is among the violations.
	}
	endpoints := []string{}
	for endpoint := range r.watchers {
		endpoints = append(endpoints, endpoint)
	}
	sort.Strings(endpoints)
	deadline := time.Now().Add(catchUpTimeout)
	for _, endpoint := range endpoints {
		w := r.watchers[endpoint]
		for w.seen() < head && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if seen := w.seen(); seen < head {
			r.violation("the watch at %s is at revision %d, %s after %d was written", endpoint, seen, catchUpTimeout, head)
		}
		r.unwatch(endpoint)
	}
}

// compact follows what all watchers have seen, so that none that is behind is ever told that its events are gone.
func (r *run) compact() {
	for r.sleep(time.Second) {
		r.mutex.Lock()
		seen := int64(0)
		for _, w := range r.watchers {
			if at := w.seen(); seen == 0 || at < seen {
				seen = at
			}
		}
		isDue := seen > r.first
		if isDue {
			r.first = seen + 1 // Whoever begins to watch from now on.
		}
		r.mutex.Unlock()
		if !isDue {
			continue
		}
		_, _ = r.retry(func(ctx context.Context) (int64, error) {
			_, err := r.client.Compact(ctx, seen)
			if isCompacted(err) {
				err = nil // By an attempt that was not answered.
			}
			return 0, err
		})
	}
}

// sleep returns false when the work is over.
func (r *run) sleep(duration time.Duration) bool {
	select {
	case <-r.ctx.Done():
		return false
	case <-time.After(duration):
		return true
	}
}
