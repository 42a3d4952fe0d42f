// Differential sends one random sequence of requests, made from one seed, to etcd and to the server under test, and
// compares every answer field by field, every error by code and text, and every watcher's events in order. Both servers
// are restarted inside the sequence, by SIGTERM and by SIGKILL in turn.
//
// Files in reading order: main (flags, the loop), server (processes), side (one server's connections), step (what can be
// done, recorded for replay), generator (what is done next), watch (streams and their logs), scenario (composite steps),
// normalise (which fields are not compared, and why), shrink.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	reference  string
	subject    string
	directory  string
	port       int
	seed       uint64
	operations int
	restarts   int
	replay     string
	shrink     bool
	keepGoing  int
	verbose    bool
}

func main() {
	var o options
	flag.StringVar(&o.reference, "reference", "", "command that starts etcd")
	flag.StringVar(&o.subject, "subject", "", "command that starts the server under test (etcd's flags are appended)")
	flag.StringVar(&o.directory, "dir", "", "scratch directory: data, logs and the recorded steps")
	flag.IntVar(&o.port, "port", 21300, "first of four ports to use")
	flag.Uint64Var(&o.seed, "seed", 0, "seed of the sequence; 0 takes one from the clock")
	flag.IntVar(&o.operations, "ops", 100_000, "number of operations")
	flag.IntVar(&o.restarts, "restarts", 6, "restarts of both servers, spread over the sequence")
	flag.StringVar(&o.replay, "replay", "", "replays a recorded file of steps instead of generating them")
	flag.BoolVar(&o.shrink, "shrink", false, "after a difference, looks for a shorter sequence that still shows one")
	flag.IntVar(&o.keepGoing, "keep-going", 0, "reports up to this many differences before giving up (the states may have diverged by then)")
	flag.BoolVar(&o.verbose, "verbose", false, "prints every step")
	flag.Parse()
	if o.reference == "" || o.subject == "" || o.directory == "" {
		fmt.Fprintln(os.Stderr, "differential: --reference, --subject and --dir are required")
		os.Exit(2)
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1_000_000_000
	}
	os.Exit(run(o))
}

func run(o options) int {
	if err := os.MkdirAll(o.directory, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var steps []*step
	if o.replay != "" {
		var err error
		if steps, err = readSteps(o.replay); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Printf("replaying %d steps of %s\n", len(steps), o.replay)
	} else {
		fmt.Printf("seed %d, %d operations, %d restarts\n", o.seed, o.operations, o.restarts)
	}
	recording := filepath.Join(o.directory, "steps.jsonl")
	outcome := runOnce(o, steps, recording)
	if outcome.err != nil {
		fmt.Printf("differential: %v\n", outcome.err)
		fmt.Print(outcome.logs)
		return 1
	}
	if len(outcome.differences) == 0 {
		fmt.Printf("no difference in %d operations, %.0f/s (%s)\n", outcome.operations,
			float64(outcome.operations)/outcome.elapsed.Seconds(), outcome.elapsed.Round(time.Second))
		fmt.Println(outcome.summary)
		return 0
	}
	for _, difference := range outcome.differences {
		fmt.Println(difference.String())
	}
	fmt.Printf("%d difference(s) after %d operations; seed %d; the steps are in %s (--replay)\n",
		len(outcome.differences), outcome.operations, o.seed, recording)
	if o.shrink {
		recorded, err := readSteps(recording)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		shrink(o, recorded, filepath.Join(o.directory, "shrunk.jsonl"))
	}
	return 1
}

type outcome struct {
	operations  int
	elapsed     time.Duration
	differences []*difference
	summary     string
	logs        string
	err         error
}

// runOnce starts both servers on fresh data directories and runs either the given steps or generated ones.
func runOnce(o options, steps []*step, recording string) (result outcome) {
	pair, err := startPair(o)
	if err != nil {
		return outcome{err: err, logs: pair.logTails()}
	}
	defer pair.stop()
	recorder, err := newRecorder(recording)
	if err != nil {
		return outcome{err: err}
	}
	defer recorder.close()

	began := time.Now()
	executor := newExecutor(pair, recorder, o)
	if steps != nil {
		err = executor.replay(steps)
	} else {
		g := newGenerator(rand.New(rand.NewPCG(o.seed, 1)), executor, o)
		err = g.run()
	}
	if err == nil {
		err = executor.finish()
	}
	result = outcome{operations: executor.operations, elapsed: time.Since(began), differences: executor.differences, summary: executor.summary()}
	if err != nil && !errors.Is(err, errStop) {
		result.err = fmt.Errorf("seed %d, operation %d: %w", o.seed, executor.operations, err)
		result.logs = pair.logTails()
	}
	return result
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}
