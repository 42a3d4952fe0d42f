package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/mirror"
	"go.etcd.io/etcd/client/v3/namespace"
)

var basicChecks = []check{
	{"put, get and delete", func(ctx context.Context, c *clientv3.Client) error {
		for i := range 5 {
			if _, err := c.Put(ctx, fmt.Sprintf("basic/%d", i), fmt.Sprint(i)); err != nil {
				return err
			}
		}
		put, err := c.Put(ctx, "basic/0", "zero", clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		if err := expect(string(put.PrevKv.Value) == "0", "prev_kv is %q", put.PrevKv.Value); err != nil {
			return err
		}
		get, err := c.Get(ctx, "basic/", clientv3.WithPrefix(), clientv3.WithLimit(2),
			clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
		if err != nil {
			return err
		}
		if err := expect(get.Count == 5 && get.More && len(get.Kvs) == 2 && string(get.Kvs[0].Key) == "basic/4", "got %v", get); err != nil {
			return err
		}
		old, err := c.Get(ctx, "basic/0", clientv3.WithRev(put.Header.Revision-1))
		if err != nil {
			return err
		}
		if err := expect(string(old.Kvs[0].Value) == "0", "the old value is %q", old.Kvs[0].Value); err != nil {
			return err
		}
		deleted, err := c.Delete(ctx, "basic/", clientv3.WithPrefix(), clientv3.WithPrevKV())
		if err != nil {
			return err
		}
		return expect(deleted.Deleted == 5 && len(deleted.PrevKvs) == 5, "deleted %v", deleted)
	}},
	{"errors arrive as the client's own", func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Put(ctx, "", "")
		if err := expectError(err, rpctypes.ErrEmptyKey); err != nil {
			return err
		}
		_, err = c.Get(ctx, "a", clientv3.WithRev(1<<40))
		if err := expectError(err, rpctypes.ErrFutureRev); err != nil {
			return err
		}
		_, err = c.Put(ctx, "a", "b", clientv3.WithLease(12345))
		if err := expectError(err, rpctypes.ErrLeaseNotFound); err != nil {
			return err
		}
		_, err = c.Revoke(ctx, 12345)
		if err := expectError(err, rpctypes.ErrLeaseNotFound); err != nil {
			return err
		}
		_, err = c.Put(ctx, "a", strings.Repeat("v", 1_600_000))
		if err := expectError(err, rpctypes.ErrRequestTooLarge); err != nil {
			return err
		}
		_, err = c.Txn(ctx).Then(clientv3.OpPut("a", "1"), clientv3.OpPut("a", "2")).Commit()
		return expectError(err, rpctypes.ErrDuplicateKey)
	}},
	{"a transaction takes the right branch", func(ctx context.Context, c *clientv3.Client) error {
		txn := func() (*clientv3.TxnResponse, error) {
			return c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision("txn"), "=", 0)).
				Then(clientv3.OpPut("txn", "made"), clientv3.OpGet("txn")).Else(clientv3.OpGet("txn"), clientv3.OpDelete("txn")).Commit()
		}
		first, err := txn()
		if err != nil {
			return err
		}
		second, err := txn()
		if err != nil {
			return err
		}
		return expect(first.Succeeded && !second.Succeeded && string(first.Responses[1].GetResponseRange().Kvs[0].Value) == "made" &&
			second.Responses[1].GetResponseDeleteRange().Deleted == 1, "first %v, second %v", first, second)
	}},
	{"a lease is kept alive, and its keys go with it", func(ctx context.Context, c *clientv3.Client) error {
		grant, err := c.Grant(ctx, 2)
		if err != nil {
			return err
		}
		if _, err := c.Put(ctx, "leased", "x", clientv3.WithLease(grant.ID)); err != nil {
			return err
		}
		alive, stop := context.WithCancel(ctx)
		defer stop()
		renewals, err := c.KeepAlive(alive, grant.ID)
		if err != nil {
			return err
		}
		for range 4 { // Longer than the TTL in all.
			if r, ok := <-renewals; !ok || r.TTL != 2 {
				return fmt.Errorf("renewal %v, open %v", r, ok)
			}
		}
		left, err := c.TimeToLive(ctx, grant.ID, clientv3.WithAttachedKeys())
		if err != nil {
			return err
		}
		if err := expect(len(left.Keys) == 1 && left.GrantedTTL == 2, "time to live %v", left); err != nil {
			return err
		}
		gone := c.Watch(ctx, "leased", clientv3.WithPrevKV())
		stop()
		response := <-gone
		if err := response.Err(); err != nil {
			return err
		}
		event := response.Events[0]
		return expect(event.Type == clientv3.EventTypeDelete && event.PrevKv.Lease == int64(grant.ID), "event %v", event)
	}},
	{"a namespace and a mirror", func(ctx context.Context, c *clientv3.Client) error {
		inside := namespace.NewKV(c, "ns/")
		for i := range 30 {
			if _, err := inside.Put(ctx, fmt.Sprintf("%03d", i), "v"); err != nil {
				return err
			}
		}
		syncer := mirror.NewSyncer(c, "ns/", 0)
		responses, errs := syncer.SyncBase(ctx)
		keys := 0
		for r := range responses {
			keys += len(r.Kvs)
		}
		if err := <-errs; err != nil {
			return err
		}
		return expect(keys == 30, "the mirror saw %d keys", keys)
	}},
	{"a large range, streamed and whole", func(ctx context.Context, c *clientv3.Client) error {
		value := strings.Repeat("v", 100_000)
		for i := range 40 {
			if _, err := c.Put(ctx, fmt.Sprintf("large/%03d", i), value); err != nil {
				return err
			}
		}
		get, err := c.Get(ctx, "large/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		if err := expect(len(get.Kvs) == 40, "%d keys", len(get.Kvs)); err != nil {
			return err
		}
		stream, err := c.GetStream(ctx, "large/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		whole, err := clientv3.GetStreamToGetResponse(stream)
		if err != nil {
			return err
		}
		return expect(len(whole.Kvs) == 40 && whole.Count == 40, "streamed %d keys, count %d", len(whole.Kvs), whole.Count)
	}},
	{"maintenance and cluster", func(ctx context.Context, c *clientv3.Client) error {
		endpoint := c.Endpoints()[0]
		status, err := c.Status(ctx, endpoint)
		if err != nil {
			return err
		}
		members, err := c.MemberList(ctx)
		if err != nil {
			return err
		}
		if err := expect(len(members.Members) == 1 && members.Members[0].ID == status.Leader && status.Version == "3.7.1",
			"members %v, status %v", members, status); err != nil {
			return err
		}
		hash, err := c.HashKV(ctx, endpoint, 0)
		if err != nil {
			return err
		}
		alarms, err := c.AlarmList(ctx)
		if err != nil {
			return err
		}
		return expect(hash.Hash != 0 && hash.HashRevision == status.Header.Revision && len(alarms.Alarms) == 0, "hash %v, alarms %v", hash, alarms)
	}},
	{"a call past its deadline", func(ctx context.Context, c *clientv3.Client) error {
		short, cancel := context.WithTimeout(ctx, time.Nanosecond)
		defer cancel()
		if _, err := c.Get(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("error %v", err)
		}
		_, err := c.Get(ctx, "a")
		return err
	}},
}
