/**
 * `.snap` files: what raft knows of a snapshot (frozen: on disk, and etcd's).
 *
 *     <term %016x>-<index %016x>.snap
 *     snappb.Snapshot  { 08 crc  12 size data }                  crc: CRC-32C of data
 *     raftpb.Snapshot  { 0a size membership  12 size metadata }
 *     metadata         { 0a size ConfState  10 index  18 term }
 *
 * `membership` is the tree in JSON that etcd up to 3.6 reads it from. What etcd 3.7 boots from is the record in the log
 * alone, and so do we; the files are written for those that look at them, and checked, so that a damaged one is found.
 */

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES } from "../base/bytes.ts";
import { updateCrc32c } from "../base/crc32c.ts";
import { WireReader } from "../base/varint.ts";
import { ConfStateSchema, SnapshotMetadataSchema, SnapshotSchema } from "../gen/raftpb/raft_pb.ts";
import { snapshotSchema as FileSchema } from "../gen/snappb/snap_pb.ts";
import type { ConfState } from "../raft/mod.ts";

const SUFFIX = ".snap";

export interface RaftSnapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  /** The membership as etcd up to 3.6 reads it. */
  readonly data: Uint8Array;
}

export function snapshotFileName(term: number, index: number): string {
  return `${term.toString(16).padStart(16, "0")}-${index.toString(16).padStart(16, "0")}${SUFFIX}`;
}

export function isSnapshotFileName(name: string): boolean {
  return name.endsWith(SUFFIX);
}

export function encodeSnapshotFile({ index, term, confState, data }: RaftSnapshot): Uint8Array {
  const snapshot = toBinary(
    SnapshotSchema,
    create(SnapshotSchema, {
      data,
      metadata: create(SnapshotMetadataSchema, {
        confState: create(ConfStateSchema, {
          voters: [...confState.voters],
          learners: [...confState.learners],
          votersOutgoing: [...confState.votersOutgoing],
          learnersNext: [...confState.learnersNext],
          autoLeave: confState.autoLeave,
        }),
        index: BigInt(index),
        term: BigInt(term),
      }),
    }),
  );
  return toBinary(FileSchema, create(FileSchema, { crc: updateCrc32c(0, snapshot), data: snapshot }));
}

/** What is wrong with the bytes of such a file, in etcd's words; undefined: nothing. */
export function snapshotFileFault(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return "snap: empty snapshot";
  try {
    const reader = new WireReader(bytes);
    let crc = 0;
    let data = EMPTY_BYTES;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      if (tag === 0x08) crc = reader.uint64();
      else if (tag === 0x12) data = reader.view();
      else return `snap: unknown field ${tag >>> 3}`;
    }
    if (data.length === 0 || crc === 0) return "snap: empty snapshot";
    if (updateCrc32c(0, data) !== crc) return "snap: crc mismatch";
    fromBinary(SnapshotSchema, data);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
