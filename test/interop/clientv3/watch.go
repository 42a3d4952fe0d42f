package main

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

var watchChecks = []check{
	{"a watch from the past, then live", func(ctx context.Context, c *clientv3.Client) error {
		first, err := putSeries(ctx, c, "past/", 0, 50)
		if err != nil {
			return err
		}
		watch := c.Watch(ctx, "past/", clientv3.WithPrefix(), clientv3.WithRev(first))
		if err := expectSeries(watch, 0, 50); err != nil {
			return err
		}
		if _, err := putSeries(ctx, c, "past/", 50, 20); err != nil {
			return err
		}
		return expectSeries(watch, 50, 20)
	}},
	{"many watchers share a stream", func(ctx context.Context, c *clientv3.Client) error {
		var watches []clientv3.WatchChan
		for i := range 50 {
			options := []clientv3.OpOption{clientv3.WithCreatedNotify()}
			if i%2 == 0 {
				options = append(options, clientv3.WithFilterDelete(), clientv3.WithPrevKV())
			}
			watches = append(watches, c.Watch(ctx, fmt.Sprintf("many/%d", i), options...))
		}
		for i, watch := range watches {
			if created := <-watch; !created.Created {
				return fmt.Errorf("watch %d began with %v", i, created)
			}
		}
		for i := range watches {
			if _, err := c.Put(ctx, fmt.Sprintf("many/%d", i), "v"); err != nil {
				return err
			}
		}
		for i, watch := range watches {
			response := <-watch
			if err := expect(len(response.Events) == 1 && string(response.Events[0].Kv.Key) == fmt.Sprintf("many/%d", i), "watch %d got %v", i, response); err != nil {
				return err
			}
		}
		return nil
	}},
	{"a watch of a compacted revision is told so", func(ctx context.Context, c *clientv3.Client) error {
		first, err := putSeries(ctx, c, "compacted/", 0, 10)
		if err != nil {
			return err
		}
		if _, err := c.Compact(ctx, first+5); err != nil {
			return err
		}
		response := <-c.Watch(ctx, "compacted/", clientv3.WithPrefix(), clientv3.WithRev(first))
		if err := expectError(response.Err(), rpctypes.ErrCompacted); err != nil {
			return err
		}
		return expect(response.CompactRevision == first+5, "compact revision %d, want %d", response.CompactRevision, first+5)
	}},
	{"progress is reported when asked for", func(ctx context.Context, c *clientv3.Client) error {
		watch := c.Watch(ctx, "progress", clientv3.WithCreatedNotify())
		<-watch
		put, err := c.Put(ctx, "elsewhere", "")
		if err != nil {
			return err
		}
		if err := c.RequestProgress(ctx); err != nil {
			return err
		}
		response := <-watch
		return expect(response.IsProgressNotify() && response.Header.Revision >= put.Header.Revision, "got %v", response)
	}},
	{"a watch survives a restart of the server without a gap", func(ctx context.Context, c *clientv3.Client) error {
		watch := c.Watch(ctx, "restart/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-watch
		if _, err := putSeries(ctx, c, "restart/", 0, 20); err != nil {
			return err
		}
		if err := expectSeries(watch, 0, 20); err != nil {
			return err
		}
		if err := restartServer(); err != nil {
			return err
		}
		if _, err := putSeries(ctx, c, "restart/", 20, 20); err != nil {
			return err
		}
		if err := expectSeries(watch, 20, 20); err != nil {
			return err
		}
		get, err := c.Get(ctx, "restart/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		return expect(get.Count == 40, "%d keys after the restart", get.Count)
	}},
	{"a lease is kept alive over a restart", func(ctx context.Context, c *clientv3.Client) error {
		grant, err := c.Grant(ctx, 10)
		if err != nil {
			return err
		}
		if _, err := c.Put(ctx, "kept", "", clientv3.WithLease(grant.ID)); err != nil {
			return err
		}
		renewals, err := c.KeepAlive(ctx, grant.ID)
		if err != nil {
			return err
		}
		<-renewals
		if err := restartServer(); err != nil {
			return err
		}
		if r, ok := <-renewals; !ok || r.TTL != 10 {
			return fmt.Errorf("after the restart: %v, open %v", r, ok)
		}
		left, err := c.TimeToLive(ctx, grant.ID, clientv3.WithAttachedKeys())
		if err != nil {
			return err
		}
		return expect(left.TTL > 0 && len(left.Keys) == 1, "time to live %v", left)
	}},
}

// putSeries puts numbered keys one after the other and returns the first one's revision. A put that fails because the
// server was just restarted is tried again: the client does not do that for writes.
func putSeries(ctx context.Context, c *clientv3.Client, prefix string, from, count int) (int64, error) {
	first := int64(0)
	for i := from; i < from+count; i++ {
		put, err := c.Put(ctx, fmt.Sprintf("%s%04d", prefix, i), fmt.Sprint(i))
		for err != nil && ctx.Err() == nil {
			put, err = c.Put(ctx, fmt.Sprintf("%s%04d", prefix, i), fmt.Sprint(i))
		}
		if err != nil {
			return 0, err
		}
		if first == 0 {
			first = put.Header.Revision
		}
	}
	return first, nil
}

// expectSeries reads that many events and checks that they are the numbered puts, in order, each at least once and none
// left out: a put that was tried again may have happened twice.
func expectSeries(watch clientv3.WatchChan, from, count int) error {
	next := from
	for next < from+count {
		response, ok := <-watch
		if !ok {
			return fmt.Errorf("the watch ended at %d", next)
		}
		if err := response.Err(); err != nil {
			return err
		}
		for _, event := range response.Events {
			switch string(event.Kv.Value) {
			case fmt.Sprint(next):
				next++
			case fmt.Sprint(next - 1):
			default:
				return fmt.Errorf("event %q where %d was due", event.Kv.Value, next)
			}
		}
	}
	return nil
}
