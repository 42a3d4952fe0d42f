// History runs clients against every member of a cluster while somebody else breaks it, records what they asked and were
// told, and judges it afterwards:
//
//   - porcupine: puts, deletes, compare-and-put and transactions of two keys, and linearizable reads, are linearizable,
//     whole answers with their revisions, versions and previous values;
//   - watches of everything, one at each member: in order, without gap or repetition, equal at all members, and in
//     agreement with what was acknowledged; a progress notification is true;
//   - serializable reads, one reader at each member: revisions do not go back while the process lives, and each answer is the
//     state at its revision, old revisions included;
//   - leases: none ends before its time, nothing outlives a revocation or the end of keep-alives;
//   - HashKV is the same at every member at the end. History is compacted all the time.
//
// It reads orders from standard input, a line each: "restart I" (the process of member I is about to be started anew: a
// serializable read may begin again), "fault TEXT" (shown in the picture of a violation), "stop" (faults have ended: come to
// the verdict; so does the end of input). It prints one line of JSON and exits with 0, or with 1 after a violation, whose
// history and picture are left in --directory.
//
// Files in reading order: main, record (operations), registers (their clients), watches, serializable, leases, compactions, replay (the
// history by revision), model (porcupine's), judge.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	registerCount = 6
	maxFailures   = 20
	settleTimeout = 40 * time.Second
)

type settings struct {
	endpoints []string
	clients   int
	pause     time.Duration
	timeout   time.Duration
	directory string
	seed      int64
}

// report is what the program prints.
type report struct {
	Operations   int      `json:"operations"`
	Acknowledged int      `json:"acknowledged"`
	InDoubt      int      `json:"inDoubt"`
	Adopted      int      `json:"adopted"`
	Writes       int      `json:"writes"`
	Reads        int      `json:"reads"`
	Serializable int      `json:"serializable"`
	Events       int      `json:"events"`
	Revision     int64    `json:"revision"`
	Leases       int      `json:"leases"`
	Expired      int      `json:"expired"`
	Revoked      int      `json:"revoked"`
	KeepAlives   int      `json:"keepAlives"`
	Compactions  int      `json:"compactions"`
	Segments     int      `json:"segments"`
	LongestMs    int64    `json:"longestWithoutWriteMs"`
	LongestIn    string   `json:"longestWithoutWriteDuring"`
	JudgedMs     int64    `json:"judgedMs"`
	Verdict      string   `json:"verdict"`
	Failures     []string `json:"failures,omitempty"`
	Pictures     []string `json:"pictures,omitempty"`
}

// run is what all parts share while the clients run.
type run struct {
	settings
	began     time.Time
	stopped   chan struct{}
	lives     []atomic.Int64 // Per member: how often its process was started.
	mutex     sync.Mutex
	faults    []fault
	failures  []string
	failCount int
}

type fault struct {
	at   int64
	text string
}

func main() {
	endpoints := flag.String("endpoints", "", "client addresses of all members, host:port, separated by commas")
	clients := flag.Int("clients", 12, "clients of the registers")
	pause := flag.Duration("pause", 15*time.Millisecond, "mean pause of a client between two operations")
	timeout := flag.Duration("timeout", 1500*time.Millisecond, "deadline of an operation")
	directory := flag.String("directory", ".", "where a violation is written to")
	seed := flag.Int64("seed", 1, "of the clients' choices")
	flag.Parse()
	if *endpoints == "" || flag.NArg() != 0 {
		fmt.Fprintln(os.Stderr, "usage: history --endpoints HOST:PORT,... [flags]; orders come from standard input")
		os.Exit(2)
	}
	r := &run{
		settings: settings{strings.Split(*endpoints, ","), *clients, *pause, *timeout, *directory, *seed},
		began:    time.Now(),
		stopped:  make(chan struct{}),
	}
	r.lives = make([]atomic.Int64, len(r.endpoints))
	result := r.all()
	line, err := json.Marshal(result)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	if len(result.Failures) > 0 {
		os.Exit(1)
	}
}

// all runs the clients until they are told to stop, lets the cluster settle, and judges.
func (r *run) all() report {
	result := report{Verdict: "undecided"}
	control := r.connect(r.endpoints...)
	defer control.Close()
	first, err := r.settled(control, "/begin")
	if err != nil {
		result.Failures = []string{err.Error()}
		return result
	}
	watches := r.startWatches(first + 1)
	go r.takeOrders()
	registers := r.startRegisters()
	readers := r.startReaders(first)
	leases := r.startLeases()
	compactions := r.startCompactions(first, watches)
	registers.wait()
	readers.wait()
	leases.wait(control)
	compactions.wait()
	last, err := r.settled(control, "/end")
	if err != nil {
		r.fail("the cluster does not work after all faults have ended: %v", err)
	} else {
		watches.reach(last)
		r.compareHashes(control, last)
	}
	watches.close()
	beganJudging := time.Now()
	r.judge(first, last, registers.operations(), watches, readers, leases, &result)
	result.Compactions = compactions.count
	result.JudgedMs = time.Since(beganJudging).Milliseconds()
	result.Verdict = "linearizable"
	if r.failCount > 0 {
		result.Verdict = fmt.Sprintf("%d violations", r.failCount)
	}
	result.Failures = r.failures
	return result
}

// takeOrders obeys standard input.
func (r *run) takeOrders() {
	defer close(r.stopped)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		order, argument, _ := strings.Cut(lines.Text(), " ")
		switch order {
		case "stop":
			return
		case "restart":
			member, err := strconv.Atoi(argument)
			if err != nil || member < 0 || member >= len(r.lives) {
				r.fail("no member is called %q", argument)
				return
			}
			r.lives[member].Add(1)
		case "fault":
			r.mutex.Lock()
			r.faults = append(r.faults, fault{r.now(), argument})
			r.mutex.Unlock()
		default:
			r.fail("no order is called %q", order)
			return
		}
	}
}

// settled puts a key until that succeeds, and returns its revision.
func (r *run) settled(client *clientv3.Client, key string) (int64, error) {
	deadline := time.Now().Add(settleTimeout)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
		answer, err := client.Put(ctx, key, "")
		cancel()
		if err == nil {
			return answer.Header.Revision, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("no put was acknowledged within %v: %w", settleTimeout, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *run) compareHashes(client *clientv3.Client, revision int64) {
	hashes := make([]string, len(r.endpoints))
	for i, endpoint := range r.endpoints {
		ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
		answer, err := client.HashKV(ctx, endpoint, revision)
		cancel()
		if err != nil {
			r.fail("member %d does not tell its hash at revision %d: %v", i, revision, err)
			return
		}
		hashes[i] = fmt.Sprintf("%08x", answer.Hash)
		if hashes[i] != hashes[0] {
			r.fail("the hash at revision %d is %s at member 0 and %s at member %d", revision, hashes[0], hashes[i], i)
		}
	}
}

func (r *run) connect(endpoints ...string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            endpoints,
		DialTimeout:          time.Second,
		DialKeepAliveTime:    2 * time.Second,
		DialKeepAliveTimeout: time.Second,
		Logger:               zap.NewNop(),
	})
	if err != nil {
		panic(err)
	}
	return client
}

func (r *run) isStopped() bool {
	select {
	case <-r.stopped:
		return true
	default:
		return false
	}
}

// now is in nanoseconds, by a clock that does not jump.
func (r *run) now() int64 {
	return int64(time.Since(r.began))
}

func (r *run) random(stream int) *rand.Rand {
	return rand.New(rand.NewSource(r.seed*1000 + int64(stream)))
}

// fail notes a violation. Only the first ones are kept.
func (r *run) fail(format string, arguments ...any) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.failCount++
	if len(r.failures) < maxFailures {
		r.failures = append(r.failures, fmt.Sprintf(format, arguments...))
	}
}
