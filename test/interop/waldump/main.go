// Waldump reads a data directory's log with etcd's own WAL package, which checks every record's CRC, and prints each entry
// as a line of text, without what differs between two servers that were told the same: request ids, member ids, times.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3/raftpb"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: waldump DATA-DIR")
		os.Exit(2)
	}
	if err := dump(filepath.Join(os.Args[1], "member", "wal")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func dump(directory string) error {
	logger := zap.NewNop()
	snapshots, err := wal.ValidSnapshotEntries(logger, directory)
	if err != nil {
		return fmt.Errorf("snapshot records: %w", err)
	}
	if _, err := wal.Verify(logger, directory, &walpb.Snapshot{}); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	log, err := wal.OpenForRead(logger, directory, &walpb.Snapshot{})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer log.Close()
	metadata, state, entries, err := log.ReadAll()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	var m pb.Metadata
	if err := proto.Unmarshal(metadata, &m); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	fmt.Printf("metadata node %x cluster %x; %d snapshot records; term %d, vote %x, committed %v\n",
		m.GetNodeID(), m.GetClusterID(), len(snapshots), state.GetTerm(), state.GetVote(), state.GetCommit() > 0)
	for _, entry := range entries {
		fmt.Printf("%d %s %s\n", entry.GetTerm(), entry.GetType(), describe(entry))
	}
	return nil
}

func describe(entry *raftpb.Entry) string {
	if entry.GetType() != raftpb.EntryNormal {
		var change raftpb.ConfChange
		if err := proto.Unmarshal(entry.Data, &change); err != nil {
			return "unreadable: " + err.Error()
		}
		return fmt.Sprintf("%s %x %s", change.GetType(), change.GetNodeId(), change.GetContext())
	}
	if len(entry.Data) == 0 {
		return "empty"
	}
	var request pb.InternalRaftRequest
	if err := proto.Unmarshal(entry.Data, &request); err != nil {
		return "unreadable: " + err.Error()
	}
	if unknown := request.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		return fmt.Sprintf("unknown fields %x", unknown)
	}
	if request.Header != nil {
		request.Header.ID = 0
	}
	request.ID = 0
	text, err := prototext.MarshalOptions{}.Marshal(&request)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
