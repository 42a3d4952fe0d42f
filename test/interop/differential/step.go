package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// kind says how a step is carried out.
type kind string

const (
	kindCall       kind = "call"        // a unary or server-streaming call
	kindRenew      kind = "renew"       // one message on the lease keep-alive stream
	kindWatchOpen  kind = "watch-open"  // opens watch stream number Stream
	kindWatchSend  kind = "watch-send"  // sends one request on it
	kindWatchClose kind = "watch-close" // closes it
	kindDrain      kind = "drain"       // waits for every watcher's events and compares them
	kindSettle     kind = "settle"      // waits for a compaction to have finished on both servers
	kindRestart    kind = "restart"     // SIGTERM, or SIGKILL where Kill is set
	kindScenario   kind = "scenario"    // a composite one, by name
)

// step is one thing done to both servers. It is recorded as a line of JSON, so that a run can be replayed and shrunk.
type step struct {
	Kind     kind            `json:"kind"`
	Method   string          `json:"method,omitempty"`
	Message  json.RawMessage `json:"message,omitempty"`
	Unknown  bool            `json:"unknown_field,omitempty"`
	Stream   int             `json:"stream,omitempty"`
	Kill     bool            `json:"kill,omitempty"`
	Revision int64           `json:"revision,omitempty"`
	Scenario string          `json:"scenario,omitempty"`
	Argument string          `json:"argument,omitempty"`

	message proto.Message
}

func call(method string, message proto.Message) *step {
	return &step{Kind: kindCall, Method: method, message: message}
}

func (s *step) String() string {
	line, err := json.Marshal(s.encoded())
	if err != nil {
		return err.Error()
	}
	return string(line)
}

func (s *step) encoded() *step {
	if s.message != nil && s.Message == nil {
		text, err := protojson.Marshal(s.message)
		if err != nil {
			panic(err)
		}
		s.Message = text
	}
	return s
}

// decoded restores the message of a step that was read from a file.
func (s *step) decoded() (*step, error) {
	switch s.Kind {
	case kindCall:
		method, err := findMethod(s.Method)
		if err != nil {
			return nil, err
		}
		s.message = newMessage(method.Input())
	case kindWatchSend:
		s.message = &pb.WatchRequest{}
	case kindRenew:
		s.message = &pb.LeaseKeepAliveRequest{}
	default:
		return s, nil
	}
	return s, protojson.Unmarshal(s.Message, s.message)
}

func readSteps(path string) ([]*step, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var steps []*step
	decoder := json.NewDecoder(bufio.NewReaderSize(file, 1<<20))
	for decoder.More() {
		s := &step{}
		if err := decoder.Decode(s); err != nil {
			return nil, err
		}
		if s, err = s.decoded(); err != nil {
			return nil, fmt.Errorf("%s, step %d: %w", path, len(steps)+1, err)
		}
		steps = append(steps, s)
	}
	return steps, nil
}

func writeSteps(path string, steps []*step) error {
	r, err := newRecorder(path)
	if err != nil {
		return err
	}
	for _, s := range steps {
		r.write(s)
	}
	return r.close()
}

type recorder struct {
	file   *os.File
	writer *bufio.Writer
}

func newRecorder(path string) (*recorder, error) {
	if path == "" {
		return &recorder{}, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{file: file, writer: bufio.NewWriterSize(file, 1<<20)}, nil
}

func (r *recorder) write(s *step) {
	if r.writer != nil {
		fmt.Fprintln(r.writer, s)
	}
}

func (r *recorder) close() error {
	if r.writer == nil {
		return nil
	}
	if err := r.writer.Flush(); err != nil {
		return err
	}
	return r.file.Close()
}

var errStop = errors.New("stopped at a difference")

// parallelReads bounds how many reads between two writes are under way at once.
const parallelReads = 8

// executor carries out steps on both servers and compares what they say.
type executor struct {
	pair        *pair
	recorder    *recorder
	options     options
	operations  int
	differences []*difference
	counts      map[string]int
	failures    map[string]int
	compacted   int64          // the last compaction's revision, -1 before the first
	tainted     map[int64]bool // revisions whose kept hash covers what differs by design
	drained     int64          // the revision of the last drain's sentinel
	nextStream  int
	discarding  bool // watch logs are compared by length alone, after a scenario whose keys or leases differ by design

	mutex sync.Mutex // guards differences, counts and failures, which parallel reads write
	reads sync.WaitGroup
	slots chan struct{}
}

func newExecutor(p *pair, r *recorder, o options) *executor {
	return &executor{
		pair: p, recorder: r, options: o, counts: map[string]int{}, failures: map[string]int{}, compacted: -1, tainted: map[int64]bool{},
		slots: make(chan struct{}, parallelReads),
	}
}

func (e *executor) replay(steps []*step) error {
	for _, s := range steps {
		if _, err := e.do(s); err != nil {
			return err
		}
	}
	return nil
}

// read starts a call that changes nothing; it runs beside other reads and before the next step that is not one.
func (e *executor) read(s *step) error {
	if e.stopping() {
		return errStop
	}
	e.begin(s)
	number := e.operations
	e.slots <- struct{}{}
	e.reads.Add(1)
	go func() {
		defer func() { <-e.slots; e.reads.Done() }()
		e.compareCall(s, number)
	}()
	return nil
}

// do carries out a step after all reads have ended, and returns etcd's answer where it has one.
func (e *executor) do(s *step) (answer, error) {
	e.reads.Wait()
	if e.stopping() {
		return answer{}, errStop
	}
	e.begin(s)
	var reply answer
	var err error
	switch s.Kind {
	case kindCall:
		reply = e.compareCall(s, e.operations)
	case kindRenew:
		reply = e.compareBoth(s, e.operations, func(i int) answer {
			return e.pair.sides[i].renew(s.message.(*pb.LeaseKeepAliveRequest))
		})
	case kindWatchOpen:
		err = e.watchOpen(s)
	case kindWatchSend:
		reply, err = e.watchSend(s)
	case kindWatchClose:
		e.watchClose(s)
	case kindDrain:
		err = e.drain(s)
	case kindSettle:
		e.settle(s)
	case kindRestart:
		err = e.restart(s)
	case kindScenario:
		err = e.scenario(s)
	default:
		err = fmt.Errorf("unknown kind of step %q", s.Kind)
	}
	if err == nil && e.stopping() {
		err = errStop
	}
	return reply, err
}

func (e *executor) begin(s *step) {
	e.operations++
	e.recorder.write(s)
	if e.options.verbose {
		fmt.Printf("%d %s\n", e.operations, s)
	}
	if s.Unknown && s.message != nil {
		// A field from some later version: servers must ignore it.
		s.message.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 4000, protowire.BytesType), "later"))
	}
	name := string(s.Kind)
	switch s.Kind {
	case kindCall:
		name = s.Method
	case kindScenario:
		name = s.Scenario
	}
	e.mutex.Lock()
	e.counts[name]++
	e.mutex.Unlock()
}

func (e *executor) compareCall(s *step, number int) answer {
	reply := e.compareBoth(s, number, func(i int) answer { return e.pair.sides[i].call(s.Method, s.message) })
	if q, ok := s.message.(*pb.CompactionRequest); ok && reply.message != nil {
		e.compacted = max(e.compacted, q.Revision)
	}
	return reply
}

// compareBoth makes the same request to both servers at once, reports where the answers differ, and returns etcd's.
func (e *executor) compareBoth(s *step, number int, do func(i int) answer) answer {
	answers := e.answers(do)
	if answers[REFERENCE].message == nil {
		e.mutex.Lock()
		e.failures[fmt.Sprintf("%d %s", answers[REFERENCE].code, answers[REFERENCE].text)]++
		e.mutex.Unlock()
	}
	if detail := compareAnswers(s.message, answers); detail != "" {
		e.report(s, number, detail, answers)
	}
	return answers[REFERENCE]
}

func (e *executor) answers(do func(i int) answer) [2]answer {
	var answers [2]answer
	_ = e.pair.both(func(i int) error {
		answers[i] = do(i)
		return nil
	})
	return answers
}

func (e *executor) stopping() bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return len(e.differences) > e.options.keepGoing
}

// settle waits until the last compaction has finished on both servers: until then etcd may answer HashKV at its
// revision with or without the hash kept from the compaction, which differ in compact_revision.
func (e *executor) settle(s *step) {
	request := &pb.HashKVRequest{Revision: s.Revision}
	deadline := time.Now().Add(5 * time.Second)
	for {
		answers := e.answers(func(i int) answer { return e.pair.sides[i].call("/etcdserverpb.Maintenance/HashKV", request) })
		detail := compareAnswers(request, answers)
		finished := true
		for _, a := range answers {
			if hash, ok := a.message.(*pb.HashKVResponse); ok && hash.CompactRevision == s.Revision {
				finished = false
			}
		}
		if detail == "" && finished {
			return
		}
		if time.Now().After(deadline) {
			if detail != "" {
				e.report(s, e.operations, detail, answers)
			}
			return // Equal, and neither keeps a hash: the compaction before it was cut short by a kill.
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (e *executor) restart(s *step) error {
	signal := syscall.SIGTERM
	if s.Kill {
		signal = syscall.SIGKILL
	}
	e.forgetStreams()
	return e.pair.restart(signal)
}

// finish waits for reads under way and compares what watchers still have to deliver.
func (e *executor) finish() error {
	_, err := e.do(&step{Kind: kindDrain})
	return err
}
