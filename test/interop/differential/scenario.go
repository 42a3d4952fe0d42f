package main

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

type pbMessage = proto.Message

// scenarioNames are the composite steps: what takes several calls, or calls that wait for one another.
var scenarioNames = []string{
	"lease-server-id", "lease-short", "lease-expiry", "lock-queue", "lock-own-lease", "election", "large-events", "wipe",
}

func (e *executor) scenario(s *step) error {
	switch s.Scenario {
	case "lease-server-id":
		e.leaseServerID(s)
	case "lease-short":
		e.leaseShort(s)
	case "lease-expiry":
		e.leaseExpiry(s)
	case "lock-queue":
		e.lockQueue(s)
	case "lock-own-lease":
		e.lockOwnLease(s)
	case "election":
		e.election(s)
	case "large-events":
		e.largeEvents(s)
	case "wipe":
		e.wipe(s)
	default:
		return fmt.Errorf("unknown scenario %q", s.Scenario)
	}
	return nil
}

// ask makes one call of a scenario on both servers and compares the answers.
func (e *executor) ask(s *step, method string, message proto.Message) answer {
	inner := call(method, message)
	inner.Scenario = s.Scenario
	return e.compareCall(inner, e.operations)
}

// askEach is ask with a request of its own for each server; `same` makes the answers comparable.
func (e *executor) askEach(s *step, method string, request func(i int) proto.Message, same func(i int, a *answer)) [2]answer {
	answers := e.answers(func(i int) answer { return e.pair.sides[i].call(method, request(i)) })
	kept := answers
	for i := range answers {
		if answers[i].message != nil {
			answers[i].message = proto.Clone(answers[i].message)
			same(i, &answers[i])
		}
	}
	if detail := compareAnswers(request(REFERENCE), answers); detail != "" {
		inner := call(method, request(REFERENCE))
		inner.Scenario = s.Scenario
		e.report(inner, e.operations, detail, answers)
	}
	return kept
}

// leaseServerID lets each server choose a lease id.
func (e *executor) leaseServerID(s *step) {
	granted := e.askEach(s, "/etcdserverpb.Lease/LeaseGrant",
		func(int) proto.Message { return &pb.LeaseGrantRequest{TTL: 5000} },
		func(_ int, a *answer) {
			r := a.message.(*pb.LeaseGrantResponse)
			if r.ID <= 0 {
				a.message, a.text = nil, fmt.Sprintf("lease id %d is not positive", r.ID)
				return
			}
			r.ID = 0
		})
	ids := [2]int64{}
	for i, a := range granted {
		if r, ok := a.message.(*pb.LeaseGrantResponse); ok {
			ids[i] = r.ID
		}
	}
	e.askEach(s, "/etcdserverpb.KV/Put",
		func(i int) proto.Message { return &pb.PutRequest{Key: []byte("server-id"), Lease: ids[i]} }, func(int, *answer) {})
	e.askEach(s, "/etcdserverpb.Lease/LeaseRevoke",
		func(i int) proto.Message { return &pb.LeaseRevokeRequest{ID: ids[i]} }, func(int, *answer) {})
	e.ask(s, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("server-id")})
	// The put that named the lease is in history with an id of each server's own: HashKV would differ until it is compacted.
	e.compactAway(s)
}

// compactAway removes from both histories what is different by design, so that HashKV can be compared again: everywhere but
// at the first compaction's revision, whose kept hash still covers what it removed. What watchers saw is only counted.
func (e *executor) compactAway(s *step) {
	e.discarding = true
	for range 2 {
		// Compacted at a revision that all watchers have passed.
		if err := e.drain(s); err != nil {
			e.report(s, e.operations, err.Error(), [2]answer{})
			break
		}
		e.tainted[e.compacted] = true
		e.ask(s, "/etcdserverpb.KV/Compact", &pb.CompactionRequest{Revision: e.drained, Physical: true})
	}
	e.discarding = false
}

// leaseShort grants TTLs below the minimum and revokes before anything can expire.
func (e *executor) leaseShort(s *step) {
	for i, ttl := range []int64{0, 1, 2, -1, -1 << 63, 3} {
		id := int64(7_000_000 + i)
		e.ask(s, "/etcdserverpb.Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: ttl})
		e.ask(s, "/etcdserverpb.Lease/LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
		e.ask(s, "/etcdserverpb.Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
	}
}

// leaseExpiry lets a lease run out and waits until its keys are gone on both.
func (e *executor) leaseExpiry(s *step) {
	const id = 7_100_000
	e.ask(s, "/etcdserverpb.Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: 1})
	for _, key := range []string{"expires/2", "expires/1", "expires/3"} {
		e.ask(s, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte(key), Lease: id})
	}
	e.ask(s, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte("expires/3")})
	for i, label := range []string{"etcd", "subject"} {
		if !e.pollUntil(15*time.Second, func() bool {
			a := e.pair.sides[i].call("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("expires/1")})
			r, ok := a.message.(*pb.RangeResponse)
			return ok && r.Count == 0
		}) {
			e.report(s, e.operations, label+": a lease with TTL 2 had not expired after 15 s", [2]answer{})
			return
		}
	}
	e.ask(s, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte("expires/"), RangeEnd: []byte("expires0")})
	e.ask(s, "/etcdserverpb.Lease/LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: id, Keys: true})
	e.ask(s, "/etcdserverpb.Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
}

// lockQueue takes a lock with one lease, queues for it with two others, and hands it over.
func (e *executor) lockQueue(s *step) {
	name := []byte("locks/" + s.Argument)
	leases := []int64{7_200_001, -7_200_002, 7_200_003}
	for _, id := range leases {
		e.ask(s, "/etcdserverpb.Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: 5000})
	}
	lock := func(id int64) answer {
		return e.ask(s, "/v3lockpb.Lock/Lock", &v3lockpb.LockRequest{Name: name, Lease: id})
	}
	first := lock(leases[0])
	lock(leases[0]) // Held already by this lease: answered at once.
	var second answer
	var secondDone, thirdDone sync.WaitGroup
	secondDone.Go(func() { second = lock(leases[1]) })
	e.waitForCount(name, 2)
	thirdDone.Go(func() { lock(leases[2]) })
	e.waitForCount(name, 3)
	e.ask(s, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: name, RangeEnd: append(bytes.Clone(name), 0xff)})
	// The third one's session ends while it waits; it hears of that when it is its turn.
	e.ask(s, "/etcdserverpb.Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: leases[2]})
	e.ask(s, "/v3lockpb.Lock/Unlock", &v3lockpb.UnlockRequest{Key: lockKey(first)})
	secondDone.Wait()
	e.ask(s, "/v3lockpb.Lock/Unlock", &v3lockpb.UnlockRequest{Key: lockKey(second)})
	thirdDone.Wait()
	e.ask(s, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: name, RangeEnd: append(bytes.Clone(name), 0xff)})
	e.ask(s, "/v3lockpb.Lock/Unlock", &v3lockpb.UnlockRequest{Key: []byte("never locked")})
	e.ask(s, "/v3lockpb.Lock/Unlock", &v3lockpb.UnlockRequest{})
	e.ask(s, "/v3lockpb.Lock/Lock", &v3lockpb.LockRequest{Name: name, Lease: 7_299_999})
	for _, id := range leases {
		e.ask(s, "/etcdserverpb.Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
	}
}

// lockOwnLease locks without a lease, so that the server makes one of its own; the key's name tells its id.
func (e *executor) lockOwnLease(s *step) {
	name := []byte("own/" + s.Argument)
	locked := e.askEach(s, "/v3lockpb.Lock/Lock",
		func(int) proto.Message { return &v3lockpb.LockRequest{Name: name} },
		func(_ int, a *answer) {
			r := a.message.(*v3lockpb.LockResponse)
			if at := bytes.LastIndexByte(r.Key, '/'); at >= 0 {
				r.Key = r.Key[:at]
			}
		})
	ids := [2]int64{}
	for i, a := range locked {
		if key := lockKey(a); key != nil {
			text := string(key[bytes.LastIndexByte(key, '/')+1:])
			id, err := strconv.ParseInt(text, 16, 64)
			if err != nil {
				e.report(s, e.operations, fmt.Sprintf("%s: the lock's key %q does not end in a lease id", e.pair.servers[i].label, key), locked)
			}
			ids[i] = id
		}
	}
	e.askEach(s, "/v3lockpb.Lock/Unlock",
		func(i int) proto.Message { return &v3lockpb.UnlockRequest{Key: lockKey(locked[i])} }, func(int, *answer) {})
	e.askEach(s, "/etcdserverpb.Lease/LeaseRevoke",
		func(i int) proto.Message { return &pb.LeaseRevokeRequest{ID: ids[i]} }, func(int, *answer) {})
	e.compactAway(s)
}

func lockKey(a answer) []byte {
	if r, ok := a.message.(*v3lockpb.LockResponse); ok {
		return r.Key
	}
	return nil
}

// election campaigns with two candidates, proclaims, resigns and observes.
func (e *executor) election(s *step) {
	name := []byte("elections/" + s.Argument)
	leases := []int64{7_300_001, 7_300_002}
	for _, id := range leases {
		e.ask(s, "/etcdserverpb.Lease/LeaseGrant", &pb.LeaseGrantRequest{ID: id, TTL: 5000})
	}
	campaign := func(id int64, value string) answer {
		return e.ask(s, "/v3electionpb.Election/Campaign", &v3electionpb.CampaignRequest{Name: name, Lease: id, Value: []byte(value)})
	}
	first := campaign(leases[0], "one")
	first = campaign(leases[0], "one again")
	e.ask(s, "/v3electionpb.Election/Leader", &v3electionpb.LeaderRequest{Name: name})
	e.ask(s, "/v3electionpb.Election/Observe", &v3electionpb.LeaderRequest{Name: name})
	var second answer
	var wait sync.WaitGroup
	wait.Go(func() { second = campaign(leases[1], "two") })
	e.waitForCount(name, 2)
	e.ask(s, "/v3electionpb.Election/Proclaim", &v3electionpb.ProclaimRequest{Leader: leaderKey(first), Value: []byte("uno")})
	e.ask(s, "/v3electionpb.Election/Leader", &v3electionpb.LeaderRequest{Name: name})
	e.ask(s, "/v3electionpb.Election/Resign", &v3electionpb.ResignRequest{Leader: leaderKey(first)})
	wait.Wait()
	e.ask(s, "/v3electionpb.Election/Proclaim", &v3electionpb.ProclaimRequest{Leader: leaderKey(first), Value: []byte("late")})
	e.ask(s, "/v3electionpb.Election/Resign", &v3electionpb.ResignRequest{Leader: leaderKey(first)})
	e.ask(s, "/v3electionpb.Election/Leader", &v3electionpb.LeaderRequest{Name: name})
	e.ask(s, "/v3electionpb.Election/Resign", &v3electionpb.ResignRequest{Leader: leaderKey(second)})
	e.ask(s, "/v3electionpb.Election/Resign", &v3electionpb.ResignRequest{})
	e.ask(s, "/v3electionpb.Election/Leader", &v3electionpb.LeaderRequest{Name: name})
	e.ask(s, "/v3electionpb.Election/Campaign", &v3electionpb.CampaignRequest{Name: name, Lease: 7_399_999})
	for _, id := range leases {
		e.ask(s, "/etcdserverpb.Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id})
	}
}

func leaderKey(a answer) *v3electionpb.LeaderKey {
	if r, ok := a.message.(*v3electionpb.CampaignResponse); ok {
		return r.Leader
	}
	return nil
}

// largeEvents makes watch responses of several MiB: the deletion of large values seen by watchers with prev_kv, whole and
// in fragments.
func (e *executor) largeEvents(s *step) {
	value := bytes.Repeat([]byte{'v'}, 900_000)
	for i := range 5 {
		e.ask(s, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: fmt.Appendf(nil, "huge/%d", i), Value: value})
	}
	e.nextStream++
	stream := &step{Kind: kindWatchOpen, Stream: -e.nextStream}
	if err := e.watchOpen(stream); err != nil {
		e.report(s, e.operations, err.Error(), [2]answer{})
		return
	}
	for _, fragment := range []bool{true, false} {
		q := &pb.WatchCreateRequest{Key: []byte("huge/"), RangeEnd: []byte("huge0"), PrevKv: true, Fragment: fragment}
		if _, err := e.exchange(stream, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: q}}); err != nil {
			e.report(s, e.operations, err.Error(), [2]answer{})
		}
	}
	e.ask(s, "/etcdserverpb.KV/RangeStream", &pb.RangeRequest{Key: []byte("huge/"), RangeEnd: []byte("huge0")})
	e.ask(s, "/etcdserverpb.KV/DeleteRange", &pb.DeleteRangeRequest{Key: []byte("huge/"), RangeEnd: []byte("huge0"), PrevKv: true})
	if err := e.drain(stream); err != nil {
		e.report(s, e.operations, err.Error(), [2]answer{})
	}
	e.watchClose(stream)
	e.compactAway(s)
}

// wipe deletes every key and compacts at that very revision, where only tombstones are left: HashKV has rules of its own
// for a store without a live key and for tombstones at the compacted revision.
func (e *executor) wipe(s *step) {
	hash := func(revision int64) {
		e.ask(s, "/etcdserverpb.Maintenance/HashKV", &pb.HashKVRequest{Revision: revision})
	}
	for range 2 {
		e.ask(s, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte(sentinelKey)})
		e.ask(s, "/etcdserverpb.KV/Put", &pb.PutRequest{Key: []byte("wiped")})
		reply := e.ask(s, "/etcdserverpb.KV/DeleteRange", &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, PrevKv: true})
		r, ok := reply.message.(*pb.DeleteRangeResponse)
		if !ok {
			return
		}
		if err := e.drainTo(s, r.Header.Revision); err != nil {
			e.report(s, e.operations, err.Error(), [2]answer{})
			return
		}
		hash(0)
		hash(r.Header.Revision - 1)
		e.ask(s, "/etcdserverpb.KV/Compact", &pb.CompactionRequest{Revision: r.Header.Revision - 1, Physical: true})
		hash(r.Header.Revision - 1)
		hash(r.Header.Revision)
		e.ask(s, "/etcdserverpb.KV/Compact", &pb.CompactionRequest{Revision: r.Header.Revision, Physical: true})
		hash(0)
		hash(r.Header.Revision)
		e.ask(s, "/etcdserverpb.KV/Range", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	}
}

// waitForCount waits until both servers hold that many keys below a name.
func (e *executor) waitForCount(name []byte, count int64) {
	for _, side := range e.pair.sides {
		e.pollUntil(10*time.Second, func() bool {
			a := side.call("/etcdserverpb.KV/Range", &pb.RangeRequest{Key: name, RangeEnd: append(bytes.Clone(name), 0xff), CountOnly: true})
			r, ok := a.message.(*pb.RangeResponse)
			return ok && r.Count == count
		})
	}
}

func (e *executor) pollUntil(timeout time.Duration, done func() bool) bool {
	deadline := time.Now().Add(timeout)
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}
