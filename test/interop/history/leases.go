package main

import (
	"context"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	lesseeCount = 4
	leaseTTL    = 3 // seconds; the least a member takes is 1.5 election timeouts.
	// A lease that nobody keeps is gone after its TTL, what new leaders add to it, and the time that revoking takes.
	leaseSlack = 15 * time.Second
)

type leases struct {
	*run
	group sync.WaitGroup
	mutex sync.Mutex
	all   []*tenancy
}

// tenancy is a lease with one key, and what its owner knows of it.
type tenancy struct {
	id  clientv3.LeaseID
	key string
	// aliveUntil: no end may be seen before, by the clock of run. It counts from before the request that was acknowledged.
	aliveUntil int64
	// revoking is when a revocation was asked for first, 0 for never; revokedAt the revision at which it was acknowledged.
	revoking   int64
	revokedAt  int64
	keepAlives int
}

func (r *run) startLeases() *leases {
	l := &leases{run: r}
	for i := range lesseeCount {
		l.group.Go(func() {
			client := r.connect(r.endpoints[i%len(r.endpoints):][:1]...)
			defer client.Close()
			random := r.random(2000 + i)
			for n := 0; !r.isStopped(); n++ {
				l.tenancy(client, fmt.Sprintf("/lease/%d/%d", i, n), random)
			}
		})
	}
	return l
}

func (l *leases) request() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), l.timeout)
}

// tenancy grants a lease, keeps it for a while, and revokes it or lets it expire.
func (l *leases) tenancy(client *clientv3.Client, key string, random *rand.Rand) {
	ctx, cancel := l.request()
	defer cancel()
	granted := l.now()
	grant, err := client.Grant(ctx, leaseTTL)
	if err != nil {
		time.Sleep(50 * time.Millisecond)
		return
	}
	t := &tenancy{id: grant.ID, key: key, aliveUntil: granted + grant.TTL*int64(time.Second)}
	l.mutex.Lock()
	l.all = append(l.all, t)
	l.mutex.Unlock()
	if _, err := client.Put(ctx, key, fmt.Sprintf("%x", t.id), clientv3.WithLease(t.id)); err != nil {
		return // In doubt: judged, too, should the key be there.
	}
	for range random.Intn(8) {
		time.Sleep(time.Duration(random.Intn(leaseTTL*1000/2)) * time.Millisecond)
		if l.isStopped() || !l.keepAlive(client, t) {
			return
		}
	}
	if random.Intn(2) == 0 {
		l.revoke(client, t)
	}
}

// keepAlive returns whether the lease may still be there.
func (l *leases) keepAlive(client *clientv3.Client, t *tenancy) bool {
	ctx, cancel := l.request()
	defer cancel()
	asked := l.now()
	answer, err := client.KeepAliveOnce(ctx, t.id)
	if err == rpctypes.ErrLeaseNotFound {
		if now := l.now(); now < t.aliveUntil {
			l.fail("lease %x is unknown %v before it may end", t.id, time.Duration(t.aliveUntil-now))
		}
		return false
	}
	if err == nil {
		t.keepAlives++
		if answer.TTL < 1 || answer.TTL > leaseTTL {
			l.fail("a keep-alive of lease %x is told a TTL of %d", t.id, answer.TTL)
		}
		t.aliveUntil = max(t.aliveUntil, asked+answer.TTL*int64(time.Second))
	}
	return true
}

func (l *leases) revoke(client *clientv3.Client, t *tenancy) {
	ctx, cancel := l.request()
	defer cancel()
	t.revoking = l.now()
	answer, err := client.Revoke(ctx, t.id)
	if err != nil {
		return
	}
	t.revokedAt = answer.Header.Revision
	ctx, cancel = l.request()
	defer cancel()
	if found, err := client.Get(ctx, t.key); err == nil && len(found.Kvs) > 0 {
		l.fail("%s is there after its lease %x was revoked", t.key, t.id)
	}
	if kept, err := client.KeepAliveOnce(ctx, t.id); err == nil {
		l.fail("lease %x was revoked, and is kept alive for %d s", t.id, kept.TTL)
	}
	if left, err := client.TimeToLive(ctx, t.id); err == nil && left.TTL > 0 {
		l.fail("lease %x was revoked, and has %d s left", t.id, left.TTL)
	}
}

// wait returns when every lease must have ended.
func (l *leases) wait(client *clientv3.Client) {
	l.group.Wait()
	deadline := time.Now().Add(leaseTTL*time.Second + leaseSlack)
	for {
		ctx, cancel := l.request()
		found, err := client.Get(ctx, "/lease/", clientv3.WithPrefix())
		cancel()
		if err == nil && len(found.Kvs) == 0 {
			return
		}
		if time.Now().After(deadline) {
			if err != nil {
				l.fail("no linearizable read succeeds after all faults have ended: %v", err)
			} else {
				l.fail("%d keys outlive their leases, %s among them", len(found.Kvs), found.Kvs[0].Key)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// judge compares what the owners know with what the first watch saw, and when.
func (l *leases) judge(w *memberWatch, result *report) {
	ends, puts := map[string]int{}, map[string]bool{}
	for i, event := range w.events {
		key := string(event.Kv.Key)
		switch {
		case !strings.HasPrefix(key, "/lease/"):
		case event.Type == mvccpb.PUT:
			puts[key] = true
		default:
			ends[key] = i
		}
	}
	for _, t := range l.all {
		result.Leases++
		result.KeepAlives += t.keepAlives
		end, hasEnded := ends[t.key]
		if t.revoking == 0 {
			result.Expired++
		} else {
			result.Revoked++
		}
		if !hasEnded {
			if puts[t.key] {
				l.fail("%s was put and never removed", t.key)
			}
			continue
		}
		if at := w.received[end]; t.revoking == 0 && at < t.aliveUntil {
			l.fail("lease %x ended %v too early, at revision %d", t.id, time.Duration(t.aliveUntil-at), w.events[end].Kv.ModRevision)
		}
		if revision := w.events[end].Kv.ModRevision; t.revokedAt != 0 && revision > t.revokedAt {
			l.fail("%s was removed at revision %d, and its lease revoked at %d", t.key, revision, t.revokedAt)
		}
	}
}
