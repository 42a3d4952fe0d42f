// Load makes the loads that etcd's own benchmark tool cannot: calls with deadlines, compare-and-put transactions, keys
// shaped as Kubernetes', pages out of a million keys, ten thousand watchers, a large range beside a watch, writes to those
// who survive a leader, a member that catches up. Each subcommand prints one line of JSON with what it measured on the client's side.
//
// Files in reading order: main (subcommands, results), calls (put, txn), pages, watch, large_range, ready, leaderless, caught_up.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// result is what a subcommand prints. Latencies are in milliseconds.
type result struct {
	Count       int     `json:"count"`
	Errors      int     `json:"errors"`
	Seconds     float64 `json:"seconds"`
	PerSecond   float64 `json:"perSecond"`
	P50         float64 `json:"p50Ms"`
	P90         float64 `json:"p90Ms"`
	P99         float64 `json:"p99Ms"`
	P999        float64 `json:"p999Ms"`
	Max         float64 `json:"maxMs"`
	Mean        float64 `json:"meanMs"`
	Extra       int     `json:"extra,omitempty"`
	ReadyUnixMs float64 `json:"readyUnixMs,omitempty"`
	FirstError  string  `json:"firstError,omitempty"`
}

var commands = map[string]func(arguments []string) (result, error){
	"put":         putCommand,
	"txn":         txnCommand,
	"pages":       pagesCommand,
	"watch":       watchCommand,
	"large-range": largeRangeCommand,
	"ready":       readyCommand,
	"leaderless":  leaderlessCommand,
	"caught-up":   caughtUpCommand,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: load put|txn|pages|watch|large-range|ready|leaderless|caught-up --endpoint HOST:PORT [flags]")
		os.Exit(2)
	}
	r, err := commands[os.Args[1]](os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, err := json.Marshal(r)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

func newFlags(name string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	return flags, flags.String("endpoint", "127.0.0.1:2379", "host:port of the server")
}

// summarize sorts the latencies and makes a result of them.
func summarize(latencies []time.Duration, elapsed time.Duration, failed int) result {
	r := result{Count: len(latencies), Errors: failed, Seconds: elapsed.Seconds()}
	if len(latencies) == 0 {
		return r
	}
	slices.Sort(latencies)
	sum := time.Duration(0)
	for _, l := range latencies {
		sum += l
	}
	at := func(quantile float64) float64 {
		return milliseconds(latencies[min(len(latencies)-1, int(quantile*float64(len(latencies))))])
	}
	r.PerSecond = float64(len(latencies)) / elapsed.Seconds()
	r.P50, r.P90, r.P99, r.P999, r.Max = at(0.5), at(0.9), at(0.99), at(0.999), milliseconds(latencies[len(latencies)-1])
	r.Mean = milliseconds(sum) / float64(len(latencies))
	return r
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}

func dial(endpoint string) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
}
