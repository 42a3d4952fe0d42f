import { create, toBinary } from "@bufbuild/protobuf";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { PutRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import type { MemberError } from "../../src/member/mod.ts";
import { NO_ROW, RecordView } from "../../src/mvcc/mod.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import type { Cluster, ClusterMember } from "../harness/cluster.ts";

/** A put that was begun, and what is known of it. */
export interface Put {
  readonly key: string;
  readonly value: string;
  /** Undefined: not answered yet. */
  answer: "done" | MemberError | undefined;
}

export function beginPut({ running }: ClusterMember, key: string, value: string): Put {
  const put: Put = { key, value, answer: undefined };
  const body = toBinary(PutRequestSchema, create(PutRequestSchema, { key: utf8(key), value: utf8(value) }));
  running.propose(RaftOperation.PUT, body, (outcome, error) => put.answer = error ?? outcome?.error as never ?? "done");
  return put;
}

/** Puts through a machine, and waits for the answer. */
export async function put(
  cluster: Cluster,
  machine: ClusterMember,
  key: string,
  value: string,
): Promise<Put["answer"]> {
  const begun = beginPut(machine, key, value);
  await cluster.until(() => begun.answer !== undefined);
  return begun.answer;
}

/** The value that a machine holds now; undefined: none. */
export function valueAt({ running }: ClusterMember, key: string): string | undefined {
  const { store } = running.keyspace;
  const row = store.getRow(utf8(key), 0);
  if (row === NO_ROW) return undefined;
  const record = new RecordView();
  store.readRecord(row, record);
  return utf8Text(record.bytes.slice(record.valueStart, record.valueEnd));
}

/** What a linearizable read through a machine finds, or the error it ends with, each once it is known. */
export function beginRead(machine: ClusterMember, key: string): { result: string | undefined } {
  const read: { result: string | undefined } = { result: undefined };
  machine.running.linearizableRead((error) => read.result = error ?? valueAt(machine, key) ?? "nothing");
  return read;
}

export async function read(cluster: Cluster, machine: ClusterMember, key: string): Promise<string> {
  const begun = beginRead(machine, key);
  await cluster.until(() => begun.result !== undefined);
  return begun.result!;
}

/** Until all that run hold the same, as far as the log goes. */
export async function untilEqual(cluster: Cluster): Promise<void> {
  const running = () => cluster.machines.filter(({ member }) => member !== undefined).map(({ running }) => running);
  await cluster.until(() => {
    const statuses = running().map(({ raftStatus }) => raftStatus);
    const last = Math.max(...statuses.map(({ commitIndex }) => commitIndex));
    return statuses.every(({ appliedIndex, commitIndex }) => appliedIndex === last && commitIndex === last);
  });
}
