package main

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// readyCommand waits until the server answers a linearizable read, and tells when that was.
func readyCommand(arguments []string) (result, error) {
	flags, endpoint := newFlags("ready")
	timeout := flags.Duration("timeout", time.Minute, "how long to try")
	_ = flags.Parse(arguments)
	conn, err := grpc.NewClient(*endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}, MinConnectTimeout: 5 * time.Second,
	}))
	if err != nil {
		return result{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	began := time.Now()
	for {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		_, err := pb.NewKVClient(conn).Range(attempt, &pb.RangeRequest{Key: []byte{0}}, grpc.WaitForReady(true))
		cancel()
		if err == nil {
			now := time.Now()
			return result{Count: 1, Seconds: now.Sub(began).Seconds(), ReadyUnixMs: float64(now.UnixMicro()) / 1000}, nil
		}
		if ctx.Err() != nil {
			return result{}, err
		}
	}
}
