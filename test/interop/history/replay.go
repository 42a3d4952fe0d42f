package main

import (
	"bytes"
	"sort"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// replay is the history by revision, as the watches tell it.
type replay struct {
	first, last int64
	// changes[i] is what revision first+1+i changed.
	changes [][]*clientv3.Event
}

// merge checks the watches against one another: each revision is there, whole, and the same at every member.
func (r *run) merge(first, last int64, all *watches) *replay {
	p := &replay{first, last, make([][]*clientv3.Event, max(0, last-first))}
	for member, w := range all.each {
		w.mutex.Lock()
		events := w.events
		w.mutex.Unlock()
		revision := first
		for start := 0; start < len(events); {
			end := start
			for end < len(events) && events[end].Kv.ModRevision == events[start].Kv.ModRevision {
				end++
			}
			seen := events[start].Kv.ModRevision
			if seen > last {
				break
			}
			if seen != revision+1 {
				r.fail("the watch at member %d shows revision %d after %d", member, seen, revision)
			}
			if seen > first {
				p.compare(r, member, seen, events[start:end])
			}
			revision, start = seen, end
		}
		if revision != last {
			r.fail("the watch at member %d ends at revision %d of %d", member, revision, last)
		}
	}
	return p
}

func (p *replay) compare(r *run, member int, revision int64, events []*clientv3.Event) {
	change := &p.changes[revision-p.first-1]
	if *change == nil {
		*change = events
		return
	}
	if len(*change) != len(events) {
		r.fail("revision %d has %d events at member %d and %d at another", revision, len(events), member, len(*change))
		return
	}
	for i, event := range events {
		other := (*change)[i]
		if describeEvent(event) != describeEvent(other) || !equalKV(event.PrevKv, other.PrevKv) {
			r.fail("member %d: %s; another: %s", member, describeEvent(event), describeEvent(other))
		}
	}
}

func equalKV(a, b *mvccpb.KeyValue) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ModRevision == b.ModRevision && bytes.Equal(a.Value, b.Value)
}

// resolve gives operations in doubt the revision at which the watches show them, and returns those that took place.
func (p *replay) resolve(r *run, operations []*operation, result *report) []*operation {
	byValue := map[string]int64{}
	deletions := map[[2]int64]bool{}
	for i, change := range p.changes {
		for _, event := range change {
			key, revision := registerOf(event.Kv.Key), p.first+1+int64(i)
			if key < 0 {
				continue
			}
			if event.Type == mvccpb.PUT {
				byValue[string(event.Kv.Value)] = revision
			} else {
				deletions[[2]int64{int64(key), revision}] = true
			}
		}
	}
	var resolved, doubtful []*operation
	for _, o := range operations {
		result.Operations++
		switch {
		case o.IsKnown:
			result.Acknowledged++
			if o.Kind == remove && o.Deleted > 0 {
				delete(deletions, [2]int64{int64(o.Key), o.Revision})
			}
			resolved = append(resolved, o)
		case o.Kind == remove:
			result.InDoubt++
			doubtful = append(doubtful, o)
		case o.isWrite():
			result.InDoubt++
			if revision, hasTakenPlace := byValue[o.Value]; hasTakenPlace {
				result.Adopted++
				o.Revision, o.Succeeded = revision, true
				resolved = append(resolved, o)
			}
		}
	}
	adopted := adoptDeletions(deletions, doubtful)
	result.Adopted += len(adopted)
	for place := range deletions {
		r.fail("r%d is deleted at revision %d, and nobody asked for it", place[0], place[1])
	}
	return append(resolved, adopted...)
}

// adoptDeletions gives each deletion that nobody was told of to the request for it that was sent first: a deletion has no
// value to tell it from others, and if any assignment is linearizable, this one is, for requests in doubt never return.
func adoptDeletions(deletions map[[2]int64]bool, doubtful []*operation) (adopted []*operation) {
	sort.Slice(doubtful, func(i, j int) bool { return doubtful[i].Call < doubtful[j].Call })
	places := make([][2]int64, 0, len(deletions))
	for place := range deletions {
		places = append(places, place)
	}
	sort.Slice(places, func(i, j int) bool { return places[i][1] < places[j][1] })
	taken := map[*operation]bool{}
	for _, place := range places {
		for _, o := range doubtful {
			if taken[o] || int64(o.Key) != place[0] {
				continue
			}
			taken[o] = true
			o.Revision, o.Deleted = place[1], 1
			adopted = append(adopted, o)
			delete(deletions, place)
			break
		}
	}
	return adopted
}

// state is the registers at a revision.
type state struct {
	Revision int64
	Entries  [registerCount]entry
}

// states calls visit with the state at every revision, in order.
func (p *replay) states(visit func(state)) {
	s := state{Revision: p.first}
	visit(s)
	for i, change := range p.changes {
		s.Revision = p.first + 1 + int64(i)
		for _, event := range change {
			key := registerOf(event.Kv.Key)
			switch {
			case key < 0:
			case event.Type == mvccpb.DELETE:
				s.Entries[key] = entry{}
			default:
				s.Entries[key] = entryOf(event.Kv)
			}
		}
		visit(s)
	}
}
