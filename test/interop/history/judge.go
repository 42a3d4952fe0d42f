package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// Porcupine remembers a set of operations for each step it takes, so that a history costs the square of its length: it is
	// judged in segments, split between two revisions.
	segmentSize    = 1500
	segmentTimeout = 60 * time.Second
	// The last write before a fault may have returned a little before the fault was announced.
	faultMargin = 50 * time.Millisecond
)

func (r *run) judge(first, last int64, operations []*operation, w *watches, s *readers, l *leases, result *report) {
	result.Revision = last
	for _, each := range w.each {
		result.Events += len(each.events)
	}
	r.mutex.Lock()
	isBroken := r.failCount > 0
	r.mutex.Unlock()
	p := r.merge(first, last, w)
	l.judge(w.each[0], result)
	resolved := p.resolve(r, operations, result)
	resolved = append(resolved, p.environment(r, resolved)...)
	r.judgeSerializable(p, s, result)
	for _, o := range operations {
		if o.isWrite() {
			result.Writes++
		} else {
			result.Reads++
		}
	}
	result.LongestMs, result.LongestIn = r.longestWithoutWrite(operations)
	segments := split(p, resolved)
	result.Segments = len(segments)
	r.judgeOrder(segments)
	for number, segment := range segments {
		r.judgeSegment(number, segment, result)
	}
	if isBroken || len(r.failures) > 0 {
		r.keep(operations, p)
	}
}

// environment returns an operation for each revision that no client of the registers made.
func (p *replay) environment(r *run, operations []*operation) (others []*operation) {
	owned := map[int64]bool{}
	for _, o := range operations {
		isNoWrite := !o.isWrite() || (o.Kind == swap && !o.Succeeded) || (o.Kind == remove && o.Deleted == 0)
		if !isNoWrite {
			owned[o.Revision] = true
		}
	}
	for i, change := range p.changes {
		revision := p.first + 1 + int64(i)
		if owned[revision] {
			continue
		}
		for _, event := range change {
			if registerOf(event.Kv.Key) >= 0 {
				r.fail("nobody asked for this: %s", describeEvent(event))
			}
		}
		others = append(others, &operation{Client: r.clients, Kind: environment, Revision: revision, Return: never})
	}
	return others
}

func (r *run) judgeSerializable(p *replay, all *readers, result *report) {
	var reads []serializableRead
	for _, each := range all.each {
		reads = append(reads, each.reads...)
	}
	result.Serializable = len(reads)
	sort.SliceStable(reads, func(i, j int) bool { return reads[i].revision < reads[j].revision })
	next := 0
	p.states(func(s state) {
		for ; next < len(reads) && reads[next].revision <= s.Revision; next++ {
			read := reads[next]
			if read.revision == s.Revision && read.found != s.Entries {
				r.fail("a serializable read of revision %d at member %d is not what the watches showed: %+v, not %+v",
					read.revision, read.member, read.found, s.Entries)
			}
		}
	})
	if next < len(reads) {
		r.fail("a serializable read at member %d has revision %d, and the last one is %d",
			reads[next].member, reads[next].revision, p.last)
	}
}

type segment struct {
	begin      state
	operations []*operation
}

// split cuts the history between revisions: what is not later than a revision comes before what is.
func split(p *replay, operations []*operation) (segments []*segment) {
	sort.SliceStable(operations, func(i, j int) bool { return operations[i].Revision < operations[j].Revision })
	next := 0
	current := &segment{begin: state{Revision: p.first}}
	p.states(func(s state) {
		for ; next < len(operations) && operations[next].Revision <= s.Revision; next++ {
			current.operations = append(current.operations, operations[next])
		}
		if len(current.operations) >= segmentSize {
			segments = append(segments, current)
			current = &segment{begin: s}
		}
	})
	// What has a revision that no watch has shown is in the last one, and is not linearizable.
	current.operations = append(current.operations, operations[next:]...)
	return append(segments, current)
}

// judgeOrder checks in real time what the segments are in revisions: nothing of a later one returned before something of
// an earlier one was asked for. With every segment linearizable by itself, the whole is.
func (r *run) judgeOrder(segments []*segment) {
	earliestReturn := never
	var first *operation
	for i := len(segments) - 1; i >= 0; i-- {
		for _, o := range segments[i].operations {
			if first != nil && o.Call > earliestReturn {
				r.fail("client %d was told of an old revision: %v, after client %d: %v", o.Client, o, first.Client, first)
				return
			}
		}
		for _, o := range segments[i].operations {
			if o.Return < earliestReturn {
				earliestReturn, first = o.Return, o
			}
		}
	}
}

func (r *run) judgeSegment(number int, s *segment, result *report) {
	history := make([]porcupine.Operation, len(s.operations))
	for i, o := range s.operations {
		history[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return}
	}
	model := modelFrom(s.begin)
	verdict := porcupine.CheckOperationsTimeout(model, history, segmentTimeout)
	if verdict == porcupine.Ok {
		return
	}
	_, information := porcupine.CheckOperationsVerbose(model, history, segmentTimeout)
	var annotations []porcupine.Annotation
	for _, fault := range r.faults {
		annotations = append(annotations, porcupine.Annotation{Tag: "faults", Start: fault.at, End: fault.at, Description: fault.text})
	}
	information.AddAnnotations(annotations)
	path := filepath.Join(r.directory, fmt.Sprintf("violation-%d.html", number))
	if err := porcupine.VisualizePath(model, information, path); err != nil {
		r.fail("cannot draw the violation: %v", err)
	}
	result.Pictures = append(result.Pictures, path)
	if verdict == porcupine.Unknown {
		r.fail("segment %d is not judged within %v", number, segmentTimeout)
		return
	}
	at := r.stuck(model, information)
	r.fail("segment %d, from revision %d, is not linearizable: %s", number, s.begin.Revision, at)
}

// stuck describes where the longest linearization found ends.
func (r *run) stuck(model porcupine.Model, information porcupine.LinearizationInfo) string {
	longest := 0
	text := "no operation can be the first"
	for _, partition := range information.PartialLinearizationsOperations() {
		for _, operations := range partition {
			if len(operations) > longest {
				longest = len(operations)
				text = fmt.Sprintf("nothing fits behind %v", operations[longest-1].Input)
			}
		}
	}
	return text
}

// longestWithoutWrite returns milliseconds, and the fault in which they began.
func (r *run) longestWithoutWrite(operations []*operation) (int64, string) {
	var returns []int64
	for _, o := range operations {
		if o.IsKnown && o.isWrite() {
			returns = append(returns, o.Return)
		}
	}
	sort.Slice(returns, func(i, j int) bool { return returns[i] < returns[j] })
	longest, began := int64(0), int64(0)
	for i := 1; i < len(returns); i++ {
		if gap := returns[i] - returns[i-1]; gap > longest {
			longest, began = gap, returns[i-1]
		}
	}
	during := ""
	for _, fault := range r.faults {
		if fault.at <= began+int64(faultMargin) {
			during = fault.text
		}
	}
	return int64(math.Round(float64(longest) / 1e6)), during
}

// keep writes the whole history beside the pictures.
func (r *run) keep(operations []*operation, p *replay) {
	path := filepath.Join(r.directory, "history.jsonl")
	file, err := os.Create(path)
	if err != nil {
		r.fail("cannot keep the history: %v", err)
		return
	}
	defer file.Close()
	encoder := json.NewEncoder(file)
	sort.Slice(operations, func(i, j int) bool { return operations[i].Call < operations[j].Call })
	for _, o := range operations {
		if err := encoder.Encode(o); err != nil {
			r.fail("cannot keep the history: %v", err)
			return
		}
	}
	for _, change := range p.changes {
		for _, event := range change {
			fmt.Fprintln(file, describeEvent(event))
		}
	}
}
