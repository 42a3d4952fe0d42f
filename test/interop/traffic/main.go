// Traffic is the load and the judge of the tests with clusters of several programs. It stays on while members are killed,
// exchanged, added and removed, and tells at the end what no client may see.
//
//	traffic run --endpoints HOST:PORT,... [--watch HOST:PORT,...] [--workers N] [--pause D] [--lease-ttl S]
//	traffic compare --endpoints HOST:PORT,... [--timeout D]
//
// `run` takes commands on standard input, a line each: "endpoints A,B" (whom requests may go to from now on), "watch A" and
// "unwatch A" (a watch of every event, at this member), "stop" (print the verdict as one line of JSON, and end).
// `compare` prints a line per member once all have the same hash at one revision, the same compaction and the same members.
//
// Files in reading order: main, run (commands, verdict), worker (requests and what they must find), watcher, lease, compare.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func main() {
	commands := map[string]func(arguments []string) error{"run": runCommand, "compare": compareCommand}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fail(errors.New("usage: traffic run|compare --endpoints HOST:PORT,... [flags]"))
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func newClient(endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints,
		// A member that was killed is tried again soon after it is back.
		BackoffWaitBetween:   50 * time.Millisecond,
		DialKeepAliveTime:    2 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		Logger:               zap.NewNop(),
	})
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
