package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"go.etcd.io/etcd/api/v3/mvccpb"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// ttlToleranceSeconds is how far two servers' remaining TTLs may be apart: they were granted, and promoted after a
// restart, at slightly different moments.
const ttlToleranceSeconds = 3

// normalise changes both answers where etcd itself does not determine a value. This is the whole list:
//
//   - Range sorted by anything but the key: etcd sorts with an unstable sort, so keys whose sort values are equal come in any
//     order, and where a limit cuts through such a group any of its keys may be the ones left out. Groups are put in
//     key order, and a group that is cut is only compared by its size and its sort value.
//   - LeaseTimeToLive.keys comes from a Go map: sorted. TTL is a remaining time: equal within a tolerance.
//   - LeaseLeases is in order of expiry: sorted by id.
//   - Status: dbSize, dbSizeInUse, raftIndex and raftAppliedIndex are the server's own business.
//   - HashKV at the revision of a compaction still running: steps that ask wait for it (executor.settle).
//   - A watch's grouping of events into responses, and header.revision of responses that carry events.
//   - An event's prev_kv on a watcher that did not ask for it: etcd fills in one event object that all watchers share.
func normalise(request proto.Message, answers *[2]answer) {
	switch q := request.(type) {
	case *pb.RangeRequest:
		for i := range answers {
			if r, ok := answers[i].message.(*pb.RangeResponse); ok {
				normaliseSorted(q, r)
			}
		}
	case *pb.TxnRequest:
		for i := range answers {
			if r, ok := answers[i].message.(*pb.TxnResponse); ok {
				normaliseTxn(q, r)
			}
		}
	case *pb.LeaseTimeToLiveRequest:
		a, aOk := answers[REFERENCE].message.(*pb.LeaseTimeToLiveResponse)
		b, bOk := answers[SUBJECT].message.(*pb.LeaseTimeToLiveResponse)
		for i := range answers {
			if r, ok := answers[i].message.(*pb.LeaseTimeToLiveResponse); ok {
				slices.SortFunc(r.Keys, bytes.Compare)
			}
		}
		if aOk && bOk && a.TTL > 0 && b.TTL > 0 && max(a.TTL, b.TTL)-min(a.TTL, b.TTL) <= ttlToleranceSeconds {
			b.TTL = a.TTL
		}
	case *pb.LeaseLeasesRequest:
		for i := range answers {
			if r, ok := answers[i].message.(*pb.LeaseLeasesResponse); ok {
				slices.SortFunc(r.Leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
			}
		}
	case *pb.StatusRequest:
		for i := range answers {
			if r, ok := answers[i].message.(*pb.StatusResponse); ok {
				r.DbSize, r.DbSizeInUse, r.RaftIndex, r.RaftAppliedIndex = 0, 0, 0, 0
			}
		}
	}
}

func normaliseTxn(request *pb.TxnRequest, response *pb.TxnResponse) {
	operations := request.Failure
	if response.Succeeded {
		operations = request.Success
	}
	for i, r := range response.Responses {
		if i >= len(operations) {
			return // A difference, which the comparison will show.
		}
		if q := operations[i].GetRequestRange(); q != nil && r.GetResponseRange() != nil {
			normaliseSorted(q, r.GetResponseRange())
		}
		if q := operations[i].GetRequestTxn(); q != nil && r.GetResponseTxn() != nil {
			normaliseTxn(q, r.GetResponseTxn())
		}
	}
}

func normaliseSorted(request *pb.RangeRequest, response *pb.RangeResponse) {
	if request.SortTarget == pb.RangeRequest_KEY || len(response.Kvs) == 0 {
		return
	}
	value := func(kv *mvccpb.KeyValue) string {
		switch request.SortTarget {
		case pb.RangeRequest_VERSION:
			return fmt.Sprint(kv.Version)
		case pb.RangeRequest_CREATE:
			return fmt.Sprint(kv.CreateRevision)
		case pb.RangeRequest_MOD:
			return fmt.Sprint(kv.ModRevision)
		default:
			return string(kv.Value)
		}
	}
	if request.SortTarget == pb.RangeRequest_VALUE && request.KeysOnly {
		// Sorted by values that are not in the answer: only the set of keys can be compared, and of a cut one its size.
		slices.SortFunc(response.Kvs, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		if response.More {
			for i := range response.Kvs {
				response.Kvs[i] = &mvccpb.KeyValue{}
			}
		}
		return
	}
	for from := 0; from < len(response.Kvs); {
		to := from + 1
		for to < len(response.Kvs) && value(response.Kvs[to]) == value(response.Kvs[from]) {
			to++
		}
		group := response.Kvs[from:to]
		slices.SortFunc(group, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
		if response.More && to == len(response.Kvs) {
			for i, kv := range group {
				kept := &mvccpb.KeyValue{}
				switch request.SortTarget {
				case pb.RangeRequest_VERSION:
					kept.Version = kv.Version
				case pb.RangeRequest_CREATE:
					kept.CreateRevision = kv.CreateRevision
				case pb.RangeRequest_MOD:
					kept.ModRevision = kv.ModRevision
				default:
					kept.Value = kv.Value
				}
				group[i] = kept
			}
		}
		from = to
	}
}

// compareAnswers returns what differs, one field to a line, or nothing.
func compareAnswers(request proto.Message, answers [2]answer) string {
	a, b := answers[REFERENCE], answers[SUBJECT]
	if a.message == nil || b.message == nil {
		if a.message == nil && b.message == nil && a.code == b.code && a.text == b.text {
			return ""
		}
		return fmt.Sprintf("status: etcd %s, subject %s", a.summary(), b.summary())
	}
	if proto.Equal(a.message, b.message) {
		return ""
	}
	copies := [2]answer{{message: proto.Clone(a.message)}, {message: proto.Clone(b.message)}}
	normalise(request, &copies)
	if proto.Equal(copies[REFERENCE].message, copies[SUBJECT].message) {
		return ""
	}
	var lines []string
	fieldDifferences("", copies[REFERENCE].message.ProtoReflect(), copies[SUBJECT].message.ProtoReflect(), &lines)
	if len(lines) > 12 {
		lines = append(lines[:12], "...")
	}
	return strings.Join(lines, "\n")
}

func (a answer) summary() string {
	if a.message != nil {
		return "OK"
	}
	return fmt.Sprintf("%d %q", a.code, a.text)
}

// fieldDifferences lists the paths at which two messages of one type differ.
func fieldDifferences(path string, a, b protoreflect.Message, lines *[]string) {
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		at := path + string(field.Name())
		switch {
		case field.IsList():
			x, y := a.Get(field).List(), b.Get(field).List()
			if x.Len() != y.Len() {
				*lines = append(*lines, fmt.Sprintf("%s: etcd has %d, subject %d", at, x.Len(), y.Len()))
			}
			for j := range min(x.Len(), y.Len()) {
				element := fmt.Sprintf("%s[%d]", at, j)
				if field.Message() != nil {
					fieldDifferences(element+".", x.Get(j).Message(), y.Get(j).Message(), lines)
				} else if !x.Get(j).Equal(y.Get(j)) {
					*lines = append(*lines, fmt.Sprintf("%s: etcd %s, subject %s", element, show(x.Get(j)), show(y.Get(j))))
				}
			}
		case a.Has(field) != b.Has(field) && field.HasPresence():
			*lines = append(*lines, fmt.Sprintf("%s: etcd %s, subject %s", at, presence(a.Has(field)), presence(b.Has(field))))
		case field.Message() != nil:
			if a.Has(field) {
				fieldDifferences(at+".", a.Get(field).Message(), b.Get(field).Message(), lines)
			}
		case !a.Get(field).Equal(b.Get(field)):
			*lines = append(*lines, fmt.Sprintf("%s: etcd %s, subject %s", at, show(a.Get(field)), show(b.Get(field))))
		}
	}
	if !bytes.Equal(a.GetUnknown(), b.GetUnknown()) {
		*lines = append(*lines, fmt.Sprintf("%sunknown fields: etcd %x, subject %x", path, a.GetUnknown(), b.GetUnknown()))
	}
}

func show(value protoreflect.Value) string {
	if data, ok := value.Interface().([]byte); ok {
		if len(data) > 60 {
			return fmt.Sprintf("%q... (%d bytes)", data[:60], len(data))
		}
		return fmt.Sprintf("%q", data)
	}
	return fmt.Sprint(value.Interface())
}

func presence(present bool) string {
	if present {
		return "set"
	}
	return "not set"
}

// difference is one answer in which the servers do not agree.
type difference struct {
	operation int
	step      *step
	detail    string
	answers   [2]answer
}

const shownAnswerLimit = 1500

func (d *difference) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "DIFFERENCE at operation %d\n  request: %s\n%s\n", d.operation, cut(d.step.String()), indent(d.detail, "  "))
	for i, label := range []string{"etcd", "subject"} {
		text := d.answers[i].summary()
		if m := d.answers[i].message; m != nil {
			text = prototext.MarshalOptions{}.Format(m)
		}
		if text != "0 \"\"" {
			fmt.Fprintf(&b, "  %-8s %s\n", label+":", cut(text))
		}
	}
	return b.String()
}

func cut(text string) string {
	return cutTo(text, shownAnswerLimit)
}

func cutTo(text string, limit int) string {
	if len(text) > limit {
		return text[:limit] + fmt.Sprintf("... (%d characters)", len(text))
	}
	return text
}

func (e *executor) report(s *step, number int, detail string, answers [2]answer) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.differences = append(e.differences, &difference{operation: number, step: s, detail: detail, answers: answers})
}

// summary tells what the sequence consisted of, so that a reader sees what was covered, errors included.
func (e *executor) summary() string {
	var b strings.Builder
	table := func(title string, counts map[string]int) {
		names := make([]string, 0, len(counts))
		for name := range counts {
			names = append(names, name)
		}
		sort.Slice(names, func(i, j int) bool { return counts[names[i]] > counts[names[j]] })
		fmt.Fprintf(&b, "%s\n", title)
		for _, name := range names {
			fmt.Fprintf(&b, "  %7d  %s\n", counts[name], cut(name))
		}
	}
	table("steps:", e.counts)
	table("errors both gave:", e.failures)
	return b.String()
}
