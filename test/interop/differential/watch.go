package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	watchReplyTimeout = 10 * time.Second
	drainTimeout      = 15 * time.Second
	// A put of this key ends a drain; on every stream a watcher of this id waits for it.
	sentinelKey     = "\xff\xffsentinel"
	sentinelWatchID = 900_001
)

// watchStream is one server's end of a stream: the answers to our requests, and per watcher the log of its events.
type watchStream struct {
	stream  pb.Watch_WatchClient
	cancel  context.CancelFunc
	replies chan *pb.WatchResponse // created and canceled ones that answer a request

	mutex    sync.Mutex
	logs     map[logKey][]*logEntry
	lives    map[int64]int          // how often an id was created here: ids are used again after a cancel
	prevKV   map[int64]bool         // the live watchers, and whether they asked for prev_kv
	starts   map[int64]int64        // start revisions of the live watchers
	creating *pb.WatchCreateRequest // the create request under way
	stuck    map[int64]bool         // watchers cancelled by a compaction: progress requests stay unanswered until they are removed
	progress int64                  // revision of the newest answer to a progress request
	sentinel int64                  // newest revision the sentinel watcher saw
	broken   string                 // an invariant the server broke, or the error that ended the stream
	partial  bool                   // the last response for partialID was a fragment with more to come
	partID   int64
}

type logKey struct {
	id   int64
	life int
}

// logEntry is an event, or the notice that a watcher was cancelled by a compaction.
type logEntry struct {
	event     *mvccpb.Event
	compacted int64
}

func (l *logEntry) String() string {
	if l == nil {
		return "nothing"
	}
	if l.event == nil {
		return fmt.Sprintf("cancelled, compact_revision %d", l.compacted)
	}
	return cutTo(prototext.MarshalOptions{}.Format(l.event), 300)
}

func (l *logEntry) equal(other *logEntry) bool {
	return l.compacted == other.compacted && proto.Equal(l.event, other.event)
}

// difference lists the fields in which two entries differ.
func (l *logEntry) difference(other *logEntry) string {
	if l.event == nil || other.event == nil {
		return "an event against a cancel"
	}
	var lines []string
	fieldDifferences("", l.event.ProtoReflect(), other.event.ProtoReflect(), &lines)
	return strings.Join(lines, "; ")
}

func (s *side) openWatch(number int) error {
	ctx, cancel := context.WithCancel(s.context)
	stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
	if err != nil {
		cancel()
		return err
	}
	w := &watchStream{
		stream: stream, cancel: cancel, replies: make(chan *pb.WatchResponse, 64),
		logs: map[logKey][]*logEntry{}, lives: map[int64]int{}, prevKV: map[int64]bool{},
		starts: map[int64]int64{}, stuck: map[int64]bool{},
	}
	s.streams[number] = w
	go w.receive()
	return nil
}

func (w *watchStream) receive() {
	for {
		response, err := w.stream.Recv()
		w.mutex.Lock()
		if err != nil {
			if w.stream.Context().Err() == nil {
				w.breakWith(fmt.Sprintf("the stream ended: %v", err))
			}
			w.mutex.Unlock()
			return
		}
		w.take(response)
		w.mutex.Unlock()
	}
}

// take files one response. It also checks, on both servers alike, what no watch may do however it groups its events.
func (w *watchStream) take(response *pb.WatchResponse) {
	id := response.WatchId
	switch {
	case response.Created:
		if !response.Canceled {
			w.lives[id]++
			w.prevKV[id] = w.creating.GetPrevKv()
			w.starts[id] = w.creating.GetStartRevision()
		}
		w.replies <- response
		return
	case response.Canceled && response.CompactRevision == 0:
		delete(w.prevKV, id)
		delete(w.starts, id)
		delete(w.stuck, id)
		w.replies <- response
		return
	case response.Canceled:
		w.stuck[id] = true
		w.append(id, &logEntry{compacted: response.CompactRevision})
		return
	case len(response.Events) == 0:
		if id == -1 {
			w.progress = max(w.progress, response.Header.GetRevision())
		}
		return
	}
	if w.lives[id] == 0 {
		w.breakWith(fmt.Sprintf("events for watch id %d, which was never created", id))
		return
	}
	if id == sentinelWatchID {
		w.sentinel = response.Events[len(response.Events)-1].Kv.ModRevision
		return
	}
	previous := int64(0)
	if log := w.logs[logKey{id, w.lives[id]}]; len(log) > 0 && log[len(log)-1].event != nil {
		previous = log[len(log)-1].event.Kv.ModRevision
	}
	first := response.Events[0].Kv.ModRevision
	if first < previous {
		w.breakWith(fmt.Sprintf("watch id %d went back from revision %d to %d", id, previous, first))
	}
	if first == previous && !(w.partial && w.partID == id) {
		w.breakWith(fmt.Sprintf("watch id %d: the events of revision %d were split over two responses", id, first))
	}
	w.partial, w.partID = response.Fragment, id
	last := first
	for _, event := range response.Events {
		if event.Kv.ModRevision < last {
			w.breakWith(fmt.Sprintf("watch id %d: revision %d after %d in one response", id, event.Kv.ModRevision, last))
		}
		last = event.Kv.ModRevision
		if !w.prevKV[id] {
			event.PrevKv = nil
		}
		w.append(id, &logEntry{event: event})
	}
	if response.Header.GetRevision() < last {
		w.breakWith(fmt.Sprintf("watch id %d: header.revision %d is below the event's %d", id, response.Header.GetRevision(), last))
	}
}

func (w *watchStream) append(id int64, entry *logEntry) {
	key := logKey{id, w.lives[id]}
	w.logs[key] = append(w.logs[key], entry)
}

func (w *watchStream) breakWith(text string) {
	if w.broken == "" {
		w.broken = text
	}
}

// openStreams lists the streams that are open on both sides, in order.
func (e *executor) openStreams() []int {
	var numbers []int
	for number := range e.pair.sides[REFERENCE].streams {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	return numbers
}

func (e *executor) streamPair(number int) ([2]*watchStream, bool) {
	a, ok := e.pair.sides[REFERENCE].streams[number]
	return [2]*watchStream{a, e.pair.sides[SUBJECT].streams[number]}, ok
}

func (e *executor) watchOpen(s *step) error {
	if err := e.pair.both(func(i int) error { return e.pair.sides[i].openWatch(s.Stream) }); err != nil {
		return err
	}
	// The sentinel watcher is part of opening, so that shrinking a sequence cannot lose it.
	request := &pb.WatchCreateRequest{Key: []byte(sentinelKey), WatchId: sentinelWatchID}
	_, err := e.exchange(s, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}})
	return err
}

func (e *executor) watchClose(s *step) {
	for _, side := range e.pair.sides {
		if w := side.streams[s.Stream]; w != nil {
			w.cancel()
			delete(side.streams, s.Stream)
		}
	}
}

func (e *executor) watchSend(s *step) (answer, error) {
	if _, open := e.streamPair(s.Stream); !open {
		return answer{}, nil // Shrinking took the step that opened it.
	}
	return e.exchange(s, s.message.(*pb.WatchRequest))
}

// exchange sends a request on both streams and compares the answers where the request has one: etcd ignores a cancel of
// an unknown id and an empty request.
func (e *executor) exchange(s *step, request *pb.WatchRequest) (answer, error) {
	streams, _ := e.streamPair(s.Stream)
	expects := request.GetCreateRequest() != nil
	for i, w := range streams {
		w.mutex.Lock()
		w.creating = request.GetCreateRequest()
		if cancel := request.GetCancelRequest(); cancel != nil && i == REFERENCE {
			_, expects = w.prevKV[cancel.WatchId]
		}
		w.mutex.Unlock()
	}
	var answers [2]answer
	err := e.pair.both(func(i int) error {
		if err := streams[i].stream.Send(request); err != nil {
			return fmt.Errorf("%s: watch send: %w", e.pair.servers[i].label, err)
		}
		if !expects {
			return nil
		}
		select {
		case reply := <-streams[i].replies:
			answers[i] = answer{message: reply}
		case <-time.After(watchReplyTimeout):
			answers[i] = answer{code: 99, text: "no reply on the watch stream"}
		}
		return nil
	})
	if err != nil || !expects {
		return answer{}, err
	}
	if reply, ok := answers[REFERENCE].message.(*pb.WatchResponse); ok && reply.CancelReason != "" {
		e.mutex.Lock()
		e.failures["watch refused: "+reply.CancelReason]++
		e.mutex.Unlock()
	}
	if detail := compareAnswers(request, answers); detail != "" {
		e.report(s, e.operations, detail, answers)
	}
	return answers[REFERENCE], nil
}

// drain waits until every watcher has been sent everything up to now, and compares the logs.
//
// A put of the sentinel key is sent first. A stream on which all watchers can be synced answers a progress request at or
// after its revision only when it has sent everything before; on a stream that cannot answer (a watcher's start revision
// lies in the future, or a compaction cancelled it) all others are synced, and the sentinel's own event is the last.
func (e *executor) drain(s *step) error {
	put := &pb.PutRequest{Key: []byte(sentinelKey)}
	reply := e.compareBoth(&step{Kind: kindCall, Method: "/etcdserverpb.KV/Put", message: put}, e.operations, func(i int) answer {
		return e.pair.sides[i].call("/etcdserverpb.KV/Put", put)
	})
	if reply.message == nil {
		return fmt.Errorf("the sentinel could not be put: %s", reply.summary())
	}
	return e.drainTo(s, reply.message.(*pb.PutResponse).Header.Revision)
}

// drainTo is drain up to a revision at which the sentinel key was put or deleted.
func (e *executor) drainTo(s *step, revision int64) error {
	e.drained = revision
	for _, number := range e.openStreams() {
		streams, _ := e.streamPair(number)
		if err := e.drainStream(s, number, streams, revision); err != nil {
			return err
		}
	}
	return nil
}

func (e *executor) drainStream(s *step, number int, streams [2]*watchStream, revision int64) error {
	began := time.Now()
	progress := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}
	for attempt := 0; ; attempt++ {
		done, detail := e.compareLogs(streams, revision)
		if detail != "" {
			e.report(s, e.operations, fmt.Sprintf("watch stream %d: %s", number, detail), [2]answer{})
			return nil
		}
		if done {
			return nil
		}
		if time.Since(began) > drainTimeout {
			e.report(s, e.operations, fmt.Sprintf("watch stream %d: %s", number, describeLag(streams, revision)), [2]answer{})
			return nil
		}
		if attempt%20 == 0 {
			for i, w := range streams {
				if err := w.stream.Send(progress); err != nil {
					return fmt.Errorf("%s: progress request: %w", e.pair.servers[i].label, err)
				}
			}
		}
		time.Sleep(time.Duration(min(1+attempt, 10)) * time.Millisecond)
	}
}

// compareLogs drops what both watchers have in common, and returns whether both are through, and what differs.
func (e *executor) compareLogs(streams [2]*watchStream, revision int64) (done bool, detail string) {
	a, b := streams[REFERENCE], streams[SUBJECT]
	a.mutex.Lock()
	defer a.mutex.Unlock()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for i, w := range streams {
		if w.broken != "" {
			return false, e.pair.servers[i].label + ": " + w.broken
		}
	}
	done = true
	keys := map[logKey]bool{}
	for key := range a.logs {
		keys[key] = true
	}
	for key := range b.logs {
		keys[key] = true
	}
	for key := range keys {
		x, y := a.logs[key], b.logs[key]
		common := min(len(x), len(y))
		for i := range common {
			if !e.discarding && !x[i].equal(y[i]) {
				return false, fmt.Sprintf("watch id %d: %s\netcd sent    %s\nsubject sent %s", key.id, x[i].difference(y[i]), x[i], y[i])
			}
		}
		// The last common entry stays: the invariants of the next response are checked against it.
		keep := common - 1
		if common > 0 && x[common-1].event == nil {
			keep = common // After a cancel nothing can follow.
		}
		if keep > 0 {
			for _, entry := range x[:keep] {
				e.countEntry(entry)
			}
			x, y = x[keep:], y[keep:]
			a.logs[key], b.logs[key] = x, y
		}
		if e.discarding && len(x) == 1 && len(y) == 1 {
			y[0] = x[0]
		}
		if len(x) != len(y) {
			done = false
		}
	}
	for _, w := range streams {
		if w.blocked(revision) && w.sentinel < revision || !w.blocked(revision) && w.progress < revision {
			done = false
		}
	}
	if len(a.replies) > 0 || len(b.replies) > 0 {
		return false, fmt.Sprintf("replies nobody asked for: etcd %d, subject %d", len(a.replies), len(b.replies))
	}
	return done, ""
}

// countEntry counts what was compared, for the summary.
func (e *executor) countEntry(entry *logEntry) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if entry.event == nil {
		e.counts["(watchers cancelled by a compaction)"]++
	} else {
		e.counts["(watch events)"]++
	}
}

// blocked reports whether a progress request cannot be answered at this revision.
func (w *watchStream) blocked(revision int64) bool {
	if len(w.stuck) > 0 {
		return true
	}
	for _, start := range w.starts {
		if start > revision {
			return true
		}
	}
	return false
}

func describeLag(streams [2]*watchStream, revision int64) string {
	a, b := streams[REFERENCE], streams[SUBJECT]
	a.mutex.Lock()
	defer a.mutex.Unlock()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	text := fmt.Sprintf("not drained to revision %d: etcd's sentinel %d and progress %d, the subject's %d and %d", revision,
		a.sentinel, a.progress, b.sentinel, b.progress)
	for key := range a.lives {
		for life := 1; life <= max(a.lives[key], b.lives[key]); life++ {
			x, y := a.logs[logKey{key, life}], b.logs[logKey{key, life}]
			if len(x) == len(y) {
				continue
			}
			common := min(len(x), len(y))
			var extra *logEntry
			if len(x) > common {
				extra = x[common]
			} else {
				extra = y[common]
			}
			text += fmt.Sprintf("\nwatch id %d: etcd sent %d more events than the subject, the first: %s", key, len(x)-len(y), extra)
		}
	}
	return text
}

func (e *executor) forgetStreams() {
	for _, side := range e.pair.sides {
		for number, w := range side.streams {
			w.cancel()
			delete(side.streams, number)
		}
	}
}
