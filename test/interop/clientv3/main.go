// Clientv3 drives one server with etcd's own Go client the way applications do: KV, transactions, leases, watches that
// outlive a restart of the server, and the concurrency package. When it wants the server restarted it prints "restart"
// and waits for a line on standard input.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const checkTimeout = 30 * time.Second

// check is one thing a client relies on; it fails by returning an error.
type check struct {
	name string
	run  func(ctx context.Context, c *clientv3.Client) error
}

func main() {
	endpoint := flag.String("endpoint", "", "host:port of the server")
	flag.Parse()
	if *endpoint == "" {
		fmt.Fprintln(os.Stderr, "clientv3: --endpoint is required")
		os.Exit(2)
	}
	failed := 0
	for _, c := range append(append(basicChecks, watchChecks...), concurrencyChecks...) {
		if err := runCheck(*endpoint, c); err != nil {
			failed++
			fmt.Printf("FAIL %s: %v\n", c.name, err)
		} else {
			fmt.Printf("ok   %s\n", c.name)
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func runCheck(endpoint string, c check) error {
	client, err := newClient(endpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	return c.run(ctx, client)
}

func newClient(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
	})
}

var input = bufio.NewReader(os.Stdin)

// restartServer asks whoever started this program to restart the server, and returns when that was done.
func restartServer() error {
	fmt.Println("restart")
	_, err := input.ReadString('\n')
	return err
}

// expect is an assertion.
func expect(ok bool, format string, arguments ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, arguments...)
}

// expectError checks that a call failed as it should.
func expectError(err, want error) error {
	if err == nil {
		return fmt.Errorf("no error, want %v", want)
	}
	if !errors.Is(err, want) && err.Error() != want.Error() {
		return fmt.Errorf("error %v, want %v", err, want)
	}
	return nil
}
