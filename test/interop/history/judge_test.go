package main

import (
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Each history but the first has one thing wrong: a judge that lets it pass is no judge.

func written(key int, value string, revision, create, version int64) *clientv3.Event {
	return &clientv3.Event{Type: mvccpb.PUT, Kv: &mvccpb.KeyValue{
		Key: []byte(registerName(key)), Value: []byte(value), ModRevision: revision, CreateRevision: create, Version: version,
	}}
}

func deleted(key int, revision int64) *clientv3.Event {
	return &clientv3.Event{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte(registerName(key)), ModRevision: revision}}
}

// scene is two puts, a read of each, a put in doubt that took place, a deletion, and a lease that expires.
type scene struct {
	operations []*operation
	watches    *watches
	readers    *readers
	leases     *leases
}

func flawless(r *run) *scene {
	one := entry{"one", 11, 11, 1}
	two := entry{"two", 12, 11, 2}
	s := &scene{
		operations: []*operation{
			{Kind: put, Key: 0, Value: "one", Call: 10, Return: 20, IsKnown: true, Revision: 11},
			{Kind: get, Key: 0, Call: 30, Return: 40, IsKnown: true, Revision: 11, Found: [registerCount]entry{one}},
			{Kind: put, Key: 0, Value: "two", Call: 50, Return: 60, IsKnown: true, Revision: 12, Found: [registerCount]entry{one}},
			{Kind: get, Key: 0, Call: 70, Return: 80, IsKnown: true, Revision: 12, Found: [registerCount]entry{two}},
			{Kind: put, Key: 1, Value: "doubt", Call: 85, Return: never},
			{Kind: put, Key: 2, Value: "lost", Call: 86, Return: never},
			{Kind: remove, Key: 0, Call: 90, Return: 95, IsKnown: true, Revision: 14, Deleted: 1, Found: [registerCount]entry{two}},
		},
		readers: &readers{each: []*reader{{reads: []serializableRead{{0, 11, [registerCount]entry{one}}}}}},
		leases:  &leases{run: r, all: []*tenancy{{id: 1, key: "/lease/0/0", aliveUntil: 110}}},
		watches: &watches{run: r},
	}
	for range r.endpoints {
		s.watches.each = append(s.watches.each, &memberWatch{events: []*clientv3.Event{
			written(0, "one", 11, 11, 1), written(0, "two", 12, 11, 2), written(1, "doubt", 13, 13, 1), deleted(0, 14),
			{Type: mvccpb.DELETE, Kv: &mvccpb.KeyValue{Key: []byte("/lease/0/0"), ModRevision: 15}},
		}, received: []int64{20, 60, 85, 95, 120}})
	}
	return s
}

func TestJudge(t *testing.T) {
	histories := map[string]func(s *scene){
		"flawless":              func(*scene) {},
		"a stale read":          func(s *scene) { s.operations[3].Revision, s.operations[3].Found = 11, s.operations[1].Found },
		"a value of nobody":     func(s *scene) { s.operations[3].Found[0].Value = "three" },
		"a wrong version":       func(s *scene) { s.operations[3].Found[0].Version = 3 },
		"a wrong previous":      func(s *scene) { s.operations[2].Found[0] = entry{} },
		"a lost write":          func(s *scene) { s.operations[0].Revision = 16 },
		"a deletion of nobody":  func(s *scene) { s.operations = s.operations[:6] },
		"a put of nobody":       func(s *scene) { s.operations[4].Value = "other" },
		"an old serializable":   func(s *scene) { s.readers.each[0].reads[0].revision = 12 },
		"a future serializable": func(s *scene) { s.readers.each[0].reads[0].revision = 99 },
		"a gap": func(s *scene) {
			w := s.watches.each[1]
			w.events = append(w.events[:1:1], w.events[2:]...)
		},
		"a missing end": func(s *scene) { s.watches.each[1].events = s.watches.each[1].events[:4] },
		"unequal members": func(s *scene) {
			s.watches.each[1].events[1] = written(0, "another", 12, 11, 2)
		},
		"an effect before its cause":    func(s *scene) { s.operations[4].Call = 100; s.operations[6].Return = 95 },
		"a lease that ends early":       func(s *scene) { s.leases.all[0].aliveUntil = 130 },
		"a key that outlives its lease": func(s *scene) { s.leases.all[0].revoking, s.leases.all[0].revokedAt = 1, 14 },
	}
	for name, spoil := range histories {
		t.Run(name, func(t *testing.T) {
			r := &run{settings: settings{endpoints: []string{"a", "b"}, directory: t.TempDir()}}
			s := flawless(r)
			spoil(s)
			r.judge(10, 15, s.operations, s.watches, s.readers, s.leases, &report{})
			if isFlawless := r.failCount == 0; isFlawless != (name == "flawless") {
				t.Errorf("%d violations: %v", r.failCount, r.failures)
			}
		})
	}
}
