package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const progressInterval = 300 * time.Millisecond

// watches are one watch of everything at each member.
type watches struct {
	*run
	cancel context.CancelFunc
	group  sync.WaitGroup
	each   []*memberWatch
}

type memberWatch struct {
	mutex    sync.Mutex
	events   []*clientv3.Event
	received []int64 // When, for each event.
	reached  int64
	progress int64
	opened   int
}

func (r *run) startWatches(revision int64) *watches {
	ctx, cancel := context.WithCancel(context.Background())
	all := &watches{run: r, cancel: cancel}
	for member, endpoint := range r.endpoints {
		w := &memberWatch{reached: revision - 1}
		all.each = append(all.each, w)
		all.group.Go(func() {
			client := r.connect(endpoint)
			defer client.Close()
			for ctx.Err() == nil {
				w.follow(ctx, r, member, client)
			}
		})
	}
	return all
}

// follow watches from where it is until the watch ends, asking for progress now and then.
func (w *memberWatch) follow(ctx context.Context, r *run, member int, client *clientv3.Client) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(w.reached+1), clientv3.WithPrevKV())
	w.opened++
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			// It waits for the stream, which a member that is gone does not give: not for longer than until the next.
			limited, done := context.WithTimeout(ctx, progressInterval)
			_ = client.RequestProgress(limited)
			done()
		case answer, isOpen := <-answers:
			if !isOpen || answer.Err() != nil {
				if isOpen && answer.CompactRevision != 0 {
					r.fail("the watch at member %d was told of a compaction at %d", member, answer.CompactRevision)
				}
				time.Sleep(50 * time.Millisecond)
				return
			}
			w.take(r, member, answer)
		}
	}
}

func (w *memberWatch) take(r *run, member int, answer clientv3.WatchResponse) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	at := r.now()
	if answer.IsProgressNotify() {
		w.progress = max(w.progress, answer.Header.Revision)
		return
	}
	previous := w.reached
	for _, event := range answer.Events {
		revision := event.Kv.ModRevision
		if revision <= previous {
			r.fail("the watch at member %d shows revision %d after %d", member, revision, previous)
		}
		if revision <= w.progress {
			r.fail("the watch at member %d shows revision %d after progress to %d", member, revision, w.progress)
		}
		if revision < w.reached {
			r.fail("the watch at member %d shows revision %d after %d, in one answer", member, revision, w.reached)
		}
		w.reached = max(w.reached, revision)
		w.events = append(w.events, event)
		w.received = append(w.received, at)
	}
}

// reach waits until every watch has seen a revision.
func (all *watches) reach(revision int64) {
	deadline := time.Now().Add(settleTimeout)
	for member, w := range all.each {
		for w.position() < revision {
			if time.Now().After(deadline) {
				all.fail("the watch at member %d stays at revision %d of %d", member, w.position(), revision)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func (w *memberWatch) position() int64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.reached
}

// slowest is the revision that every watch has seen.
func (all *watches) slowest() int64 {
	revision := all.each[0].position()
	for _, w := range all.each[1:] {
		revision = min(revision, w.position())
	}
	return revision
}

func (all *watches) close() {
	all.cancel()
	all.group.Wait()
}

func describeEvent(event *clientv3.Event) string {
	if event.Type == mvccpb.DELETE {
		return fmt.Sprintf("delete %s at %d", event.Kv.Key, event.Kv.ModRevision)
	}
	return fmt.Sprintf("put %s=%s at %d, created at %d, version %d, lease %x",
		event.Kv.Key, event.Kv.Value, event.Kv.ModRevision, event.Kv.CreateRevision, event.Kv.Version, event.Kv.Lease)
}
