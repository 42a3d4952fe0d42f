package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	leasePrefix  = "lease/"
	keptLeases   = 4
	abandonedTTL = 2
	abandonPause = 1500 * time.Millisecond
	// By when a lease nobody keeps is gone once there is no election any more: each leader gives it its whole TTL again.
	abandonedGrace = 10 * time.Second
)

// leaseBook knows until when the lease of each key must live: its TTL after the last keep-alive that was answered was sent.
type leaseBook struct {
	ttl   time.Duration
	mutex sync.Mutex
	until map[string]time.Time
	kept  map[string]bool
}

func newLeaseBook(ttlSeconds int64) leaseBook {
	return leaseBook{ttl: time.Duration(ttlSeconds) * time.Second, until: map[string]time.Time{}, kept: map[string]bool{}}
}

func (b *leaseBook) extend(key string, isKept bool, until time.Time) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.until[key], b.kept[key] = until, isKept
}

// deleted is called by every watcher that sees the key go; the first is the one that counts.
func (b *leaseBook) deleted(r *run, key, endpoint string) {
	b.mutex.Lock()
	until, isKnown := b.until[key]
	isKept := b.kept[key]
	delete(b.until, key)
	b.mutex.Unlock()
	if !isKnown {
		return
	}
	if early := time.Until(until); early > 0 {
		r.violation("the lease of %s ended %s early, seen at %s", key, early.Round(time.Millisecond), endpoint)
	}
	if !isKept {
		r.mutex.Lock()
		r.verdict.Expired++
		r.mutex.Unlock()
	}
}

// awaitAbandoned waits until the watchers have seen the end of all leases that nobody kept alive.
func (b *leaseBook) awaitAbandoned(r *run) {
	for deadline := time.Now().Add(abandonedGrace); ; time.Sleep(20 * time.Millisecond) {
		left := b.abandoned()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.violation("leases that nobody keeps alive live on after %s in peace: %v", abandonedGrace, left)
			return
		}
	}
}

func (b *leaseBook) abandoned() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	keys := []string{}
	for key := range b.until {
		if !b.kept[key] {
			keys = append(keys, key)
		}
	}
	return keys
}

// grant makes a lease and a key on it, and returns when the grant was sent.
func (r *run) grant(key string, ttl int64) (clientv3.LeaseID, time.Time, error) {
	var sent time.Time
	id, err := r.retry(func(ctx context.Context) (int64, error) {
		sent = time.Now()
		answer, err := r.client.Grant(ctx, ttl)
		if err != nil {
			return 0, err
		}
		return int64(answer.ID), nil
	})
	if err != nil {
		return 0, sent, err
	}
	_, err = r.retry(func(ctx context.Context) (int64, error) {
		_, err := r.client.Put(ctx, key, "", clientv3.WithLease(clientv3.LeaseID(id)))
		return 0, err
	})
	return clientv3.LeaseID(id), sent, err
}

// keepLease keeps a lease alive, and takes another if it lapses because nobody answered for its whole TTL.
func (r *run) keepLease(n int) {
	for generation := 0; r.ctx.Err() == nil; generation++ {
		key := fmt.Sprintf("%skept/%d/%d", leasePrefix, n, generation)
		id, sent, err := r.grant(key, int64(r.leases.ttl/time.Second))
		if err != nil {
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				r.lapse(key, sent.Add(r.leases.ttl))
			}
			continue
		}
		until := sent.Add(r.leases.ttl)
		r.leases.extend(key, true, until)
		for r.sleep(r.leases.ttl / 5) {
			_, err = r.retry(func(ctx context.Context) (int64, error) {
				sent = time.Now()
				_, err := r.client.KeepAliveOnce(ctx, id)
				return 0, err
			})
			if err != nil {
				if errors.Is(err, rpctypes.ErrLeaseNotFound) {
					r.lapse(key, until)
				}
				break
			}
			until = sent.Add(r.leases.ttl)
			r.leases.extend(key, true, until)
			r.mutex.Lock()
			r.verdict.KeepAlives++
			r.mutex.Unlock()
		}
		if r.ctx.Err() != nil {
			r.leases.extend(key, true, time.Now())
			_, _ = r.retry(func(ctx context.Context) (int64, error) {
				_, err := r.client.Revoke(ctx, id)
				return 0, err
			})
		}
	}
}

func (r *run) lapse(key string, until time.Time) {
	if early := time.Until(until); early > 0 {
		r.violation("the lease of %s is not found, %s before its end", key, early.Round(time.Millisecond))
		return
	}
	r.mutex.Lock()
	r.verdict.Lapsed++
	r.mutex.Unlock()
}

// abandonLeases grants leases and forgets them.
func (r *run) abandonLeases() {
	for n := 0; r.sleep(abandonPause); n++ {
		key := fmt.Sprintf("%sabandoned/%d", leasePrefix, n)
		_, sent, err := r.grant(key, abandonedTTL)
		if err == nil {
			r.leases.extend(key, false, sent.Add(abandonedTTL*time.Second))
		}
	}
}
