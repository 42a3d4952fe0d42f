package main

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"

	"google.golang.org/grpc/health/grpc_health_v1"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
)

const (
	keyNumbers  = 60
	streamCount = 3
	leaseCount  = 24
	// Small enough that no lease of the sequence expires while it runs: expiry has a scenario of its own.
	leaseTTLMin = 3_600
)

// generator makes the sequence. Its choices depend only on the seed and on what etcd answered, so that a seed is a sequence.
type generator struct {
	random    *rand.Rand
	executor  *executor
	options   options
	revision  int64
	compacted int64
	unsettled bool
	leases    []int64
	streams   []*generatorStream
	nextNew   int
}

// generatorStream is what the generator knows of a watch stream.
type generatorStream struct {
	number int
	ids    []int64
	// Whether some watcher keeps the stream from answering progress requests; from then on only watchers that are
	// synced at once are added, so that drains still know when all has arrived.
	blocked bool
}

func newGenerator(random *rand.Rand, e *executor, o options) *generator {
	return &generator{random: random, executor: e, options: o, revision: 1, compacted: -1}
}

func (g *generator) run() error {
	total := g.options.operations
	restartEvery := total + 1
	if g.options.restarts > 0 {
		restartEvery = total / (g.options.restarts + 1)
	}
	restarts := 0
	for g.executor.operations < total {
		if restarts < g.options.restarts && g.executor.operations >= (restarts+1)*restartEvery {
			restarts++
			if err := g.restart(restarts%2 == 0); err != nil {
				return err
			}
		}
		if err := g.next(); err != nil {
			return err
		}
	}
	return g.settle()
}

// choice is one kind of step and how often it is taken, in parts of their sum.
type choice struct {
	weight int
	take   func() error
}

func (g *generator) next() error {
	choices := []choice{
		{3000, func() error { return g.executor.read(g.unary("KV/Range", g.rangeRequest())) }},
		{300, func() error { return g.executor.read(g.unary("KV/RangeStream", g.streamRequest())) }},
		{2200, func() error { return g.write("KV/Put", g.put()) }},
		{600, func() error { return g.write("KV/DeleteRange", g.deleteRange()) }},
		{1400, func() error { return g.write("KV/Txn", g.txn(3)) }},
		{12, g.compact},
		{60, g.hashKV},
		{150, g.leaseGrant},
		{60, g.leaseRevoke},
		{200, g.renew},
		{150, func() error {
			return g.executor.read(g.unary("Lease/LeaseTimeToLive", &pb.LeaseTimeToLiveRequest{ID: g.lease(), Keys: g.flip(2)}))
		}},
		{40, func() error { return g.executor.read(g.unary("Lease/LeaseLeases", &pb.LeaseLeasesRequest{})) }},
		{250, g.watch},
		{20, g.drain},
		{30, func() error { return g.executor.read(g.unary("Maintenance/Status", &pb.StatusRequest{})) }},
		{20, func() error {
			return g.executor.read(g.unary("Cluster/MemberList", &pb.MemberListRequest{Linearizable: g.flip(2)}))
		}},
		{10, func() error {
			return g.executor.read(g.unary("Maintenance/Alarm", &pb.AlarmRequest{Alarm: pb.AlarmType(g.random.IntN(3))}))
		}},
		{10, func() error { return g.executor.read(g.unary("Auth/AuthStatus", &pb.AuthStatusRequest{})) }},
		{5, func() error {
			return g.executor.read(g.unary("Auth/Authenticate", &pb.AuthenticateRequest{Name: "nobody", Password: "x"}))
		}},
		{10, func() error {
			services := []string{"", "", "etcdserverpb.KV"}
			return g.executor.read(call("/grpc.health.v1.Health/Check", &grpc_health_v1.HealthCheckRequest{Service: services[g.random.IntN(3)]}))
		}},
		{20, g.election},
		{6, g.oversize},
		{8, g.scenario},
	}
	sum := 0
	for _, c := range choices {
		sum += c.weight
	}
	pick := g.random.IntN(sum)
	for _, c := range choices {
		if pick -= c.weight; pick < 0 {
			return c.take()
		}
	}
	return nil
}

func (g *generator) unary(method string, message pbMessage) *step {
	s := call("/etcdserverpb."+method, message)
	s.Unknown = g.flip(200)
	return s
}

// write makes a call that may change the store, and learns the revision from its answer.
func (g *generator) write(method string, message pbMessage) error {
	reply, err := g.executor.do(g.unary(method, message))
	g.learn(reply)
	return err
}

func (g *generator) learn(reply answer) {
	if r, ok := reply.message.(interface{ GetHeader() *pb.ResponseHeader }); ok {
		g.revision = max(g.revision, r.GetHeader().GetRevision())
	}
}

// flip is true once in n.
func (g *generator) flip(n int) bool {
	return g.random.IntN(n) == 0
}

// --- values ---

func (g *generator) key() []byte {
	n := g.random.IntN(keyNumbers)
	switch g.random.IntN(40) {
	case 0:
		return nil
	case 1:
		return []byte{0}
	case 2:
		return []byte{0xff, byte(n)}
	case 3:
		return bytes.Repeat([]byte{'k'}, 300+n)
	case 4, 5:
		return []byte{'b', 0, byte(n % 4)}
	}
	prefixes := []string{"a/", "a/b/", "c", "\xc3\x28", "registry/pods/"}
	return fmt.Appendf(nil, "%s%02d", prefixes[g.random.IntN(len(prefixes))], n)
}

// end is a range end for a key: none, a prefix, from the key on, ahead, equal or before it.
func (g *generator) end(key []byte) []byte {
	switch g.random.IntN(16) {
	case 0:
		return []byte{0}
	case 1:
		return key
	case 2:
		return g.key()
	case 3:
		return []byte{0, 0}
	case 4, 5, 6:
		if len(key) > 0 {
			return append(bytes.Clone(key[:len(key)-1]), key[len(key)-1]+1)
		}
		return []byte("z")
	case 7, 8:
		if len(key) > 1 {
			end := bytes.Clone(key[:len(key)-1])
			end[len(end)-1]++
			return end
		}
		return []byte("b")
	}
	return nil
}

func (g *generator) value() []byte {
	size := g.random.IntN(40)
	switch g.random.IntN(60) {
	case 0:
		size = 0
	case 1, 2:
		size = 1000 + g.random.IntN(1000)
	case 3:
		if g.flip(5) {
			size = 30_000
		}
	}
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(g.random.Uint32())
	}
	return value
}

// extreme is an int64 at which something might overflow or lose precision.
func (g *generator) extreme() int64 {
	values := []int64{
		-1, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, 1 << 53, 1<<53 + 1, -(1 << 53) - 1, 1 << 31, 1 << 32, -2, 1<<62 + 3,
	}
	return values[g.random.IntN(len(values))]
}

// readRevision is a revision to read at: mostly none, otherwise in history, at its edges, or nonsense.
func (g *generator) readRevision() int64 {
	switch g.random.IntN(24) {
	case 0:
		return g.extreme()
	case 1:
		return g.compacted
	case 2:
		return g.compacted - 1
	case 3:
		return g.compacted + 1
	case 4:
		return g.revision + 1
	case 5:
		return g.revision
	case 6, 7:
		return g.revision - g.random.Int64N(20)
	case 8, 9:
		return g.past()
	}
	return 0
}

// past is any revision that still exists.
func (g *generator) past() int64 {
	from := max(g.compacted, 1)
	return from + g.random.Int64N(g.revision-from+1)
}

func (g *generator) limit() int64 {
	switch g.random.IntN(10) {
	case 0, 1, 2:
		return int64(g.random.IntN(8))
	case 3:
		return int64(g.random.IntN(100))
	case 4:
		if g.flip(3) {
			return g.extreme()
		}
	}
	return 0
}

func (g *generator) lease() int64 {
	if len(g.leases) > 0 && !g.flip(12) {
		return g.leases[g.random.IntN(len(g.leases))]
	}
	if g.flip(3) {
		return g.extreme()
	}
	return int64(g.random.IntN(1000)) + 1
}

// --- KV ---

func (g *generator) rangeRequest() *pb.RangeRequest {
	key := g.key()
	q := &pb.RangeRequest{
		Key: key, RangeEnd: g.end(key), Limit: g.limit(), Revision: g.readRevision(),
		Serializable: g.flip(3), KeysOnly: g.flip(6), CountOnly: g.flip(10),
	}
	if g.flip(4) {
		q.SortOrder = pb.RangeRequest_SortOrder(g.random.IntN(3))
		q.SortTarget = pb.RangeRequest_SortTarget(g.random.IntN(5))
	}
	if g.flip(60) {
		q.SortOrder = pb.RangeRequest_SortOrder(g.random.IntN(6) - 1)
		q.SortTarget = pb.RangeRequest_SortTarget(g.random.IntN(8) - 1)
	}
	if g.flip(8) {
		for _, bound := range []*int64{&q.MinModRevision, &q.MaxModRevision, &q.MinCreateRevision, &q.MaxCreateRevision} {
			if g.flip(3) {
				*bound = g.past()
			}
			if g.flip(40) {
				*bound = g.extreme()
			}
		}
	}
	return q
}

func (g *generator) streamRequest() *pb.RangeRequest {
	q := g.rangeRequest()
	if !g.flip(10) {
		q.SortOrder, q.SortTarget = 0, 0
		q.MinModRevision, q.MaxModRevision, q.MinCreateRevision, q.MaxCreateRevision = 0, 0, 0, 0
	}
	if q.SortOrder == pb.RangeRequest_NONE {
		// A target without an order passes etcd's check, and then loses keys: each chunk is sorted and cut by itself. Keelson
		// streams in key order (docs/differences.md).
		q.SortTarget = pb.RangeRequest_KEY
	}
	return q
}

func (g *generator) put() *pb.PutRequest {
	q := &pb.PutRequest{Key: g.key(), Value: g.value(), PrevKv: g.flip(4)}
	if g.flip(5) {
		q.Lease = g.lease()
	}
	if g.flip(15) {
		q.IgnoreValue = true
		if !g.flip(5) {
			q.Value = nil
		}
	}
	if g.flip(15) {
		q.IgnoreLease = true
		if !g.flip(5) {
			q.Lease = 0
		}
	}
	return q
}

func (g *generator) deleteRange() *pb.DeleteRangeRequest {
	key := g.key()
	q := &pb.DeleteRangeRequest{Key: key, PrevKv: g.flip(3)}
	if g.flip(2) {
		q.RangeEnd = g.end(key)
		if bytes.Equal(q.RangeEnd, []byte{0}) && !g.flip(4) {
			q.RangeEnd = nil // Rarely everything, so that the store stays filled.
		}
	}
	return q
}

func (g *generator) txn(depth int) *pb.TxnRequest {
	q := &pb.TxnRequest{}
	for range g.random.IntN(3) {
		q.Compare = append(q.Compare, g.compare())
	}
	q.Success = g.requestOps(depth)
	if g.flip(2) {
		q.Failure = g.requestOps(depth)
	}
	if g.flip(80) {
		// Around the bound of 128 operations.
		count := 127 + g.random.IntN(3)
		for i := range count {
			q.Success = append(q.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestRange{
				RequestRange: &pb.RangeRequest{Key: fmt.Appendf(nil, "c%02d", i)},
			}})
		}
		q.Success = q.Success[len(q.Success)-count:]
	}
	return q
}

func (g *generator) requestOps(depth int) []*pb.RequestOp {
	var ops []*pb.RequestOp
	for range g.random.IntN(4) {
		op := &pb.RequestOp{}
		switch n := g.random.IntN(20); {
		case n < 7:
			op.Request = &pb.RequestOp_RequestPut{RequestPut: g.put()}
		case n < 13:
			q := g.rangeRequest()
			if !g.flip(5) && q.Revision != 0 {
				q.Revision = g.past()
			}
			op.Request = &pb.RequestOp_RequestRange{RequestRange: q}
		case n < 16:
			op.Request = &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: g.deleteRange()}
		case n < 19 && depth > 0:
			op.Request = &pb.RequestOp_RequestTxn{RequestTxn: g.txn(depth - 1)}
		case n == 19 && !g.flip(6):
			op.Request = &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: g.key()}}
		}
		ops = append(ops, op)
	}
	return ops
}

func (g *generator) compare() *pb.Compare {
	key := g.key()
	c := &pb.Compare{Key: key, Result: pb.Compare_CompareResult(g.random.IntN(4)), Target: pb.Compare_CompareTarget(g.random.IntN(5))}
	if g.flip(4) {
		c.RangeEnd = g.end(key)
	}
	number := func(usual int64) int64 {
		if g.flip(20) {
			return g.extreme()
		}
		return usual
	}
	target := c.Target
	if g.flip(25) {
		target = pb.Compare_CompareTarget(g.random.IntN(5)) // Target and union need not agree.
	}
	switch target {
	case pb.Compare_VERSION:
		c.TargetUnion = &pb.Compare_Version{Version: number(int64(g.random.IntN(4)))}
	case pb.Compare_CREATE:
		c.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: number(g.past() * int64(g.random.IntN(2)))}
	case pb.Compare_MOD:
		c.TargetUnion = &pb.Compare_ModRevision{ModRevision: number(g.past() * int64(g.random.IntN(2)))}
	case pb.Compare_VALUE:
		c.TargetUnion = &pb.Compare_Value{Value: g.value()}
	case pb.Compare_LEASE:
		c.TargetUnion = &pb.Compare_Lease{Lease: number(g.lease() * int64(g.random.IntN(2)))}
	}
	if g.flip(60) {
		c.TargetUnion = nil
	}
	if g.flip(60) {
		c.Result, c.Target = pb.Compare_CompareResult(g.random.IntN(9)-2), pb.Compare_CompareTarget(g.random.IntN(9)-2)
	}
	return c
}

// compact compacts mostly somewhere in the older part of history, sometimes where that is refused.
func (g *generator) compact() error {
	if err := g.drain(); err != nil {
		return err
	}
	if err := g.settle(); err != nil {
		return err
	}
	q := &pb.CompactionRequest{Physical: g.flip(2)}
	switch g.random.IntN(6) {
	case 0:
		q.Revision = g.readRevision()
	case 1:
		q.Revision = g.revision
	default:
		from := max(g.compacted, 1)
		q.Revision = from + g.random.Int64N((g.revision-from)/2+1)
	}
	reply, err := g.executor.do(g.unary("KV/Compact", q))
	if reply.message != nil {
		g.compacted = g.executor.compacted
		g.unsettled = true
	}
	return err
}

func (g *generator) settle() error {
	if !g.unsettled {
		return nil
	}
	g.unsettled = false
	_, err := g.executor.do(&step{Kind: kindSettle, Revision: g.compacted})
	return err
}

func (g *generator) hashKV() error {
	if err := g.settle(); err != nil {
		return err
	}
	revision := g.readRevision()
	if g.flip(2) {
		revision = g.past()
	}
	if g.executor.tainted[revision] {
		revision = 0
	}
	return g.executor.read(g.unary("Maintenance/HashKV", &pb.HashKVRequest{Revision: revision}))
}

// oversize sends a request beyond one of the two bounds on its size.
func (g *generator) oversize() error {
	sizes := []int{1_500_000, 1_572_840 + g.random.IntN(40), 1_600_000, 2_097_100 + g.random.IntN(60), 3_000_000}
	return g.write("KV/Put", &pb.PutRequest{Key: []byte("large"), Value: make([]byte, sizes[g.random.IntN(len(sizes))])})
}

// --- leases ---

func (g *generator) leaseGrant() error {
	if len(g.leases) >= leaseCount {
		return g.leaseRevoke()
	}
	q := &pb.LeaseGrantRequest{ID: int64(g.random.IntN(1_000_000)) + 1, TTL: leaseTTLMin + int64(g.random.IntN(1000))}
	if g.flip(5) {
		q.ID = g.extreme()
	}
	if g.flip(10) {
		q.ID = g.lease()
	}
	if g.flip(10) {
		q.TTL = 8_999_999_998 + int64(g.random.IntN(4))
	}
	if g.flip(20) {
		q.TTL = math.MaxInt64
	}
	if q.ID == 0 {
		q.ID = 1
	}
	reply, err := g.executor.do(g.unary("Lease/LeaseGrant", q))
	if reply.message != nil {
		g.leases = append(g.leases, q.ID)
	}
	return err
}

func (g *generator) leaseRevoke() error {
	id := g.lease()
	reply, err := g.executor.do(g.unary("Lease/LeaseRevoke", &pb.LeaseRevokeRequest{ID: id}))
	g.learn(reply)
	if reply.message != nil {
		for i, l := range g.leases {
			if l == id {
				g.leases = append(g.leases[:i], g.leases[i+1:]...)
				break
			}
		}
	}
	return err
}

func (g *generator) renew() error {
	_, err := g.executor.do(&step{Kind: kindRenew, message: &pb.LeaseKeepAliveRequest{ID: g.lease()}})
	return err
}

// --- watches ---

func (g *generator) watch() error {
	if len(g.streams) < streamCount {
		g.nextNew++
		s := &generatorStream{number: g.nextNew}
		g.streams = append(g.streams, s)
		_, err := g.executor.do(&step{Kind: kindWatchOpen, Stream: s.number})
		return err
	}
	at := g.random.IntN(len(g.streams))
	s := g.streams[at]
	switch n := g.random.IntN(20); {
	case n == 0 || len(s.ids) > 14:
		if err := g.drain(); err != nil {
			return err
		}
		g.streams = append(g.streams[:at], g.streams[at+1:]...)
		_, err := g.executor.do(&step{Kind: kindWatchClose, Stream: s.number})
		return err
	case n < 3:
		return g.watchCancel(s)
	case n == 5:
		return g.watchSend(s, &pb.WatchRequest{})
	case n == 6:
		return g.watchSend(s, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
	}
	return g.watchCreate(s)
}

func (g *generator) watchSend(s *generatorStream, q *pb.WatchRequest) error {
	_, err := g.executor.do(&step{Kind: kindWatchSend, Stream: s.number, message: q})
	return err
}

func (g *generator) watchCancel(s *generatorStream) error {
	id := g.random.Int64N(20)
	if len(s.ids) > 0 && !g.flip(6) {
		id = s.ids[g.random.IntN(len(s.ids))]
	} else if g.flip(4) {
		id = g.extreme()
	}
	// What is on its way to a watcher when it is cancelled may or may not arrive.
	if err := g.drain(); err != nil {
		return err
	}
	for i, known := range s.ids {
		if known == id {
			s.ids = append(s.ids[:i], s.ids[i+1:]...)
			break
		}
	}
	return g.watchSend(s, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (g *generator) watchCreate(s *generatorStream) error {
	key := g.key()
	q := &pb.WatchCreateRequest{Key: key, RangeEnd: g.end(key), PrevKv: g.flip(2), Fragment: g.flip(3), ProgressNotify: g.flip(4)}
	if g.flip(3) {
		q.Key, q.RangeEnd = []byte("a/"), []byte("z")
	}
	if g.flip(5) {
		q.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_FilterType(g.random.IntN(4))}
	}
	if g.flip(3) {
		q.WatchId = g.random.Int64N(16)
		if g.flip(4) {
			q.WatchId = g.extreme()
		}
		if q.WatchId == -1 {
			q.WatchId = -3 // With -1 etcd's own answers cannot be told from progress notifications.
		}
	}
	blocks := false
	switch n := g.random.IntN(10); {
	case n < 4 && !s.blocked:
		q.StartRevision = max(g.revision-g.random.Int64N(60), max(g.compacted, 1))
		if g.flip(10) {
			q.StartRevision = g.past()
		}
	case n == 4:
		q.StartRevision = g.revision + 1 + g.random.Int64N(50)
		if g.flip(5) {
			q.StartRevision = math.MaxInt64 - g.random.Int64N(2)
		}
		blocks = true
	case n == 5 && g.compacted > 1:
		q.StartRevision = 1 + g.random.Int64N(g.compacted)
		blocks = q.StartRevision < g.compacted
		if s.blocked && !blocks {
			q.StartRevision = 0
		}
	case n == 6 && g.flip(3):
		q.StartRevision = -g.random.Int64N(3) - 1
	}
	if blocks {
		if err := g.drain(); err != nil {
			return err
		}
		s.blocked = true
		if q.StartRevision > g.revision {
			q.StartRevision = max(q.StartRevision, g.revision+2) // The drain's own put has moved the revision.
		}
	}
	reply, err := g.executor.do(&step{Kind: kindWatchSend, Stream: s.number, message: &pb.WatchRequest{
		RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: q},
	}})
	if r, ok := reply.message.(*pb.WatchResponse); ok && !r.Canceled {
		s.ids = append(s.ids, r.WatchId)
	}
	return err
}

func (g *generator) drain() error {
	_, err := g.executor.do(&step{Kind: kindDrain})
	g.revision++ // The sentinel.
	return err
}

// --- the rest ---

// election asks for leaders where nobody campaigns; campaigns and locks are scenarios.
func (g *generator) election() error {
	switch g.random.IntN(4) {
	case 0:
		return g.executor.read(call("/v3electionpb.Election/Leader", &v3electionpb.LeaderRequest{Name: g.key()}))
	case 1:
		_, err := g.executor.do(call("/v3electionpb.Election/Proclaim", &v3electionpb.ProclaimRequest{Value: g.value()}))
		return err
	case 2:
		_, err := g.executor.do(call("/v3electionpb.Election/Resign", &v3electionpb.ResignRequest{
			Leader: &v3electionpb.LeaderKey{Name: []byte("none"), Key: []byte("none/1"), Rev: g.readRevision(), Lease: g.lease()},
		}))
		return err
	}
	_, err := g.executor.do(call("/v3electionpb.Election/Proclaim", &v3electionpb.ProclaimRequest{
		// Never without a lease: etcd would make one of its own, and attach it where the key was never written (revision 0).
		Leader: &v3electionpb.LeaderKey{Name: []byte("none"), Key: []byte("none/1"), Rev: g.readRevision(), Lease: g.lease()},
		Value:  g.value(),
	}))
	return err
}

func (g *generator) scenario() error {
	if err := g.drain(); err != nil {
		return err
	}
	names := scenarioNames
	name := names[g.random.IntN(len(names))]
	if name == "lease-expiry" && !g.flip(4) {
		name = "lock-queue" // Expiry takes seconds.
	}
	_, err := g.executor.do(&step{Kind: kindScenario, Scenario: name, Argument: fmt.Sprint(g.random.IntN(1_000_000))})
	if err != nil {
		return err
	}
	g.compacted = g.executor.compacted
	// A scenario's writes are its own; a put tells the revision they led to.
	return g.write("KV/Put", &pb.PutRequest{Key: []byte("after")})
}

func (g *generator) restart(kill bool) error {
	if err := g.drain(); err != nil {
		return err
	}
	if err := g.settle(); err != nil {
		return err
	}
	g.streams = nil
	if _, err := g.executor.do(&step{Kind: kindRestart, Kill: kill}); err != nil {
		return err
	}
	if err := g.executor.read(g.unary("KV/Range", &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})); err != nil {
		return err
	}
	return g.executor.read(g.unary("Maintenance/HashKV", &pb.HashKVRequest{}))
}
