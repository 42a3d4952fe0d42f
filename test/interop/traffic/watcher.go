package main

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watcher watches every key at one member. Each revision has at least one event, so a revision that is missing is a gap.
type watcher struct {
	run      *run
	endpoint string
	cancel   context.CancelFunc
	ended    chan struct{}
	revision atomic.Int64 // of the last event
	events   atomic.Int64
}

func startWatcher(r *run, endpoint string, from int64) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{run: r, endpoint: endpoint, cancel: cancel, ended: make(chan struct{})}
	w.revision.Store(from - 1)
	go w.watch(ctx)
	return w
}

func (w *watcher) seen() int64 { return w.revision.Load() }
func (w *watcher) count() int  { return int(w.events.Load()) }

func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

// watch begins again where it was, however the stream ends.
func (w *watcher) watch(ctx context.Context) {
	defer close(w.ended)
	client, err := newClient(w.endpoint)
	if err != nil {
		w.run.violation("no client for %s: %v", w.endpoint, err)
		return
	}
	defer client.Close()
	for ctx.Err() == nil {
		for response := range client.Watch(ctx, "\x00", clientv3.WithFromKey(), clientv3.WithRev(w.seen()+1)) {
			if response.CompactRevision > 0 {
				w.run.violation("the watch at %s, at revision %d, was told that all below %d is compacted", w.endpoint, w.seen(), response.CompactRevision)
				w.revision.Store(response.CompactRevision - 1)
			}
			for _, event := range response.Events {
				w.take(event)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

func (w *watcher) take(event *clientv3.Event) {
	last, revision := w.seen(), event.Kv.ModRevision
	if revision != last && revision != last+1 {
		w.run.violation("the watch at %s went from revision %d to %d (%s %s)", w.endpoint, last, revision, event.Type, event.Kv.Key)
	}
	w.revision.Store(revision)
	w.events.Add(1)
	if event.Type == clientv3.EventTypeDelete && strings.HasPrefix(string(event.Kv.Key), leasePrefix) {
		w.run.leases.deleted(w.run, string(event.Kv.Key), w.endpoint)
	}
}
