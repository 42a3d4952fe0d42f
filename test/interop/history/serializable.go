package main

import (
	"context"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	serializablePause = 15 * time.Millisecond
	oldReadOneIn      = 5
)

// readers send serializable reads, one at each member.
type readers struct {
	group sync.WaitGroup
	each  []*reader
}

type reader struct {
	reads []serializableRead
}

// serializableRead says that the registers were like this at a revision.
type serializableRead struct {
	member   int
	revision int64
	found    [registerCount]entry
}

func (r *run) startReaders(first int64) *readers {
	all := &readers{}
	for member, endpoint := range r.endpoints {
		reader := &reader{}
		all.each = append(all.each, reader)
		all.group.Go(func() {
			client := r.connect(endpoint)
			defer client.Close()
			reader.run(r, member, first, client)
		})
	}
	return all
}

func (all *readers) wait() {
	all.group.Wait()
}

func (s *reader) run(r *run, member int, first int64, client *clientv3.Client) {
	random := r.random(1000 + member)
	latest, life := int64(0), int64(0)
	for !r.isStopped() {
		time.Sleep(serializablePause)
		options := []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithSerializable()}
		old := int64(0)
		if latest > first && random.Intn(oldReadOneIn) == 0 {
			old = first + 1 + random.Int63n(latest-first)
			options = append(options, clientv3.WithRev(old))
		}
		before := r.lives[member].Load()
		if before != life {
			latest, life = 0, before
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
		answer, err := client.Get(ctx, "/r/", options...)
		cancel()
		if err != nil || r.lives[member].Load() != before {
			continue
		}
		revision := answer.Header.Revision
		if revision < latest {
			r.fail("a serializable read at member %d has revision %d after %d", member, revision, latest)
		}
		latest = max(latest, revision)
		if old != 0 {
			revision = old
		}
		s.reads = append(s.reads, serializableRead{member, revision, entriesOf(answer.Kvs)})
	}
}
