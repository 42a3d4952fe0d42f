/** What a program may say in a member's name without ending the others. */
import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { utf8 } from "../../src/base/bytes.ts";
import { AuthUserAddRequestSchema } from "../../src/gen/etcdserverpb/auth_pb.ts";
import {
  ClusterMemberAttrSetRequestSchema,
  ClusterVersionSetRequestSchema,
  DowngradeInfoSetRequestSchema,
} from "../../src/gen/membershippb/membership_pb.ts";
import { ConfChangeSchema } from "../../src/gen/raftpb/raft_pb.ts";
import { type Entry, EntryType, MessageType, newMessage } from "../../src/raft/mod.ts";
import { encodeRaftRequest, RaftOperation } from "../../src/wire/mod.ts";
import { Cluster } from "../harness/cluster.ts";
import { put, untilEqual, valueAt } from "./cluster_support.ts";

const GARBAGE = new Uint8Array([255, 255, 255, 1, 2, 3]);

function entry(type: EntryType, data: Uint8Array): Entry {
  return { term: 0, index: 0, type, data };
}

function operation(number: number, body: Uint8Array): Entry {
  return entry(EntryType.NORMAL, encodeRaftRequest(number, body, { member: 1, sequence: 1 }));
}

function change(nodeId: bigint, context: string): Entry {
  return entry(
    EntryType.CONF_CHANGE,
    toBinary(ConfChangeSchema, create(ConfChangeSchema, { nodeId, context: utf8(context) })),
  );
}

const { PUT, TXN, LEASE_GRANT, AUTH_USER_ADD, CLUSTER_VERSION_SET, CLUSTER_MEMBER_ATTR_SET, DOWNGRADE_INFO_SET } =
  RaftOperation;

/** Each of them would end every member that applies it, at every start. */
const POISON: readonly (readonly [what: string, entry: Entry])[] = [
  ["no request", entry(EntryType.NORMAL, GARBAGE)],
  ["an operation that nobody knows", operation(77, new Uint8Array(3))],
  ["a request without an operation", entry(EntryType.NORMAL, new Uint8Array([8, 1]))],
  ["a put that cannot be read", operation(PUT, GARBAGE)],
  ["a transaction that cannot be read", operation(TXN, GARBAGE)],
  ["a lease that cannot be read", operation(LEASE_GRANT, GARBAGE)],
  [
    "a password in plain text",
    operation(
      AUTH_USER_ADD,
      toBinary(AuthUserAddRequestSchema, create(AuthUserAddRequestSchema, { name: "u", password: "p" })),
    ),
  ],
  [
    "a cluster version of the future",
    operation(
      CLUSTER_VERSION_SET,
      toBinary(ClusterVersionSetRequestSchema, create(ClusterVersionSetRequestSchema, { ver: "9.9.0" })),
    ),
  ],
  [
    "the addresses of nobody",
    operation(
      CLUSTER_MEMBER_ATTR_SET,
      toBinary(ClusterMemberAttrSetRequestSchema, create(ClusterMemberAttrSetRequestSchema, { memberID: 77n })),
    ),
  ],
  [
    "a downgrade to no version",
    operation(
      DOWNGRADE_INFO_SET,
      toBinary(DowngradeInfoSetRequestSchema, create(DowngradeInfoSetRequestSchema, { enabled: true, ver: "old" })),
    ),
  ],
  ["a change that cannot be read", entry(EntryType.CONF_CHANGE, GARBAGE)],
  ["a change of nothing", entry(EntryType.CONF_CHANGE, new Uint8Array(0))],
  ["a change without a context", change(77n, "")],
  ["a change that is about another member", change(77n, '{"id":78,"peerURLs":["http://x:1"]}')],
  ["a change about no member", change(0n, '{"id":0,"peerURLs":["http://x:1"]}')],
  ["a change of a form that is not used", entry(EntryType.CONF_CHANGE_V2, new Uint8Array(0))],
];

test("a proposal that no member could carry out does not come into the log, through whomever it is passed on", async () => {
  const cluster = await Cluster.start(3);
  const leader = await cluster.untilLeader();
  const [follower, mask] = cluster.others(leader);
  for (const [what, poison] of POISON) {
    for (const { running: { id } } of [leader, follower]) {
      const message = newMessage(MessageType.PROPOSAL, id);
      message.from = mask.running.id;
      message.entries = [poison];
      cluster.network.endpoints.get(id)!.handler.receive(message);
    }
    expect([what, await put(cluster, follower, "key", what)]).toEqual([what, "done"]);
  }
  await untilEqual(cluster);
  for (const machine of cluster.machines) {
    expect(machine.fatal).toEqual([]);
    expect(valueAt(machine, "key")).toBe(POISON.at(-1)![0]);
  }
  await cluster.stopAll();
});

test("a read in the name of no member, and about nothing, is not answered", async () => {
  const cluster = await Cluster.start(3);
  const leader = await cluster.untilLeader();
  const [follower] = cluster.others(leader);
  cluster.network.endpoints.get(leader.running.id)!.handler.receive(
    newMessage(MessageType.READ_INDEX, leader.running.id),
  );
  expect(await put(cluster, follower, "key", "value")).toBe("done");
  expect(leader.fatal).toEqual([]);
  await cluster.stopAll();
});

test("a heartbeat of an earlier term keeps nobody from voting, whatever it commits", async () => {
  const cluster = await Cluster.start(3);
  const leader = await cluster.untilLeader();
  for (const { running: { id } } of cluster.others(leader)) {
    const message = newMessage(MessageType.HEARTBEAT, id);
    message.from = leader.running.id;
    message.term = leader.running.raftTerm - 1;
    message.commit = 1_000_000;
    cluster.network.endpoints.get(id)!.handler.receive(message);
  }
  cluster.crash(leader);
  await cluster.untilLeader((machine) => machine !== leader);
  await cluster.stopAll();
});
