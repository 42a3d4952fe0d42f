package main

import (
	"fmt"
	"math"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// entry is a register as a read shows it; the zero value is a register that is not there.
type entry struct {
	Value   string
	Mod     int64
	Create  int64
	Version int64
}

type kind string

const (
	put         kind = "put"
	get         kind = "get"
	getAll      kind = "get all"
	remove      kind = "delete"
	swap        kind = "swap"
	pair        kind = "put two"
	environment kind = "not ours" // A revision that no client of the registers made: leases come and go.
)

// never is when an operation returned of which nobody knows whether it took place.
const never = int64(math.MaxInt64)

// operation is a request to the registers, and its answer.
type operation struct {
	Client int
	Kind   kind
	Key    int
	Second int    // The other key of a pair.
	Value  string // Unique to this operation.
	Expect int64  // swap: the mod revision that the register must have.

	Call, Return int64
	// IsKnown says that the answer was seen. What is not known has Return never, and a revision only if the watches show it.
	IsKnown   bool
	Revision  int64
	Found     [registerCount]entry // get: at Key; swap that failed: at Key; put and delete: what was there before.
	Succeeded bool                 // swap.
	Deleted   int64
	Error     string
}

func (o *operation) isWrite() bool {
	return o.Kind != get && o.Kind != getAll
}

func (o *operation) String() string {
	outcome := fmt.Sprintf("revision %d", o.Revision)
	if !o.IsKnown {
		outcome = "in doubt: " + o.Error
	}
	switch o.Kind {
	case put:
		return fmt.Sprintf("put r%d=%s: %s", o.Key, o.Value, outcome)
	case pair:
		return fmt.Sprintf("put r%d, r%d=%s: %s", o.Key, o.Second, o.Value, outcome)
	case swap:
		return fmt.Sprintf("if r%d at %d put %s: %t, %s", o.Key, o.Expect, o.Value, o.Succeeded, outcome)
	case remove:
		return fmt.Sprintf("delete r%d: %d, %s", o.Key, o.Deleted, outcome)
	case get:
		return fmt.Sprintf("get r%d: %s@%d, %s", o.Key, o.Found[o.Key].Value, o.Found[o.Key].Mod, outcome)
	}
	return fmt.Sprintf("%s: %s", o.Kind, outcome)
}

func registerName(key int) string {
	return fmt.Sprintf("/r/%d", key)
}

// registerOf returns -1 for other keys.
func registerOf(name []byte) int {
	if len(name) != 4 || string(name[:3]) != "/r/" {
		return -1
	}
	return int(name[3] - '0')
}

func entryOf(kv *mvccpb.KeyValue) entry {
	return entry{string(kv.Value), kv.ModRevision, kv.CreateRevision, kv.Version}
}

func entriesOf(kvs []*mvccpb.KeyValue) (found [registerCount]entry) {
	for _, kv := range kvs {
		if key := registerOf(kv.Key); key >= 0 {
			found[key] = entryOf(kv)
		}
	}
	return found
}
