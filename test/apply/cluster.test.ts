import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { applyConfChange, V2RequestError } from "../../src/apply/mod.ts";
import { EMPTY_BYTES, utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import {
  ClusterMemberAttrSetRequestSchema,
  ClusterVersionSetRequestSchema,
  DowngradeInfoSetRequestSchema,
} from "../../src/gen/membershippb/membership_pb.ts";
import { ConfChangeSchema, ConfChangeType } from "../../src/gen/raftpb/raft_pb.ts";
import { type Member, memberJson, Membership } from "../../src/membership/mod.ts";
import { decodeRaftRequest, RaftOperation } from "../../src/wire/mod.ts";
import { World } from "./world.ts";

const MEMBER: Member = { id: 0xfedcba9876543210n, name: "", peerUrls: ["http://p"], clientUrls: [], isLearner: false };

function run<Request extends DescMessage>(
  world: World,
  operation: number,
  schema: Request,
  request: MessageInitShape<Request>,
): void {
  expect(world.run(operation, toBinary(schema, create(schema, request))).error).toBeUndefined();
}

describe("the log says of the cluster", () => {
  test("its version, its members' names and addresses, and where it goes back to", () => {
    const world = new World();
    world.membership.add(MEMBER);
    run(world, RaftOperation.CLUSTER_VERSION_SET, ClusterVersionSetRequestSchema, { ver: "3.7.0" });
    run(world, RaftOperation.CLUSTER_MEMBER_ATTR_SET, ClusterMemberAttrSetRequestSchema, {
      memberID: MEMBER.id,
      memberAttributes: { name: "one", clientUrls: ["http://c"] },
    });
    run(world, RaftOperation.DOWNGRADE_INFO_SET, DowngradeInfoSetRequestSchema, { enabled: true, ver: "3.6.0" });
    const { membership } = world;
    expect(membership.clusterVersion).toBe("3.7.0");
    expect(membership.list()).toEqual([{ ...MEMBER, name: "one", clientUrls: ["http://c"] }]);
    expect(membership.downgrade).toEqual({ isEnabled: true, targetVersion: "3.6.0" });
    run(world, RaftOperation.DOWNGRADE_INFO_SET, DowngradeInfoSetRequestSchema, { enabled: false, ver: "3.6.0" });
    expect(membership.downgrade).toEqual({ isEnabled: false, targetVersion: "" });
  });

  test("things that change nothing", () => {
    const world = new World();
    const before = world.membership.records();
    for (const operation of [RaftOperation.DOWNGRADE_VERSION_TEST, RaftOperation.RANGE]) {
      expect(world.run(operation, EMPTY_BYTES).error).toBeUndefined();
    }
    expect(world.membership.records()).toEqual(before);
    expect(world.keyspace.store.revision).toBe(1);
  });
});

describe("requests of the v2 API, as etcd up to 3.5 makes them", () => {
  /** etcdserverpb.Request; gogo writes every field, empty or not. */
  function v2(method: string, path: string, value = ""): Uint8Array {
    const writer = new WireWriter();
    writer.tag(1, 0);
    writer.varint(7);
    for (const [field, text] of [[2, method], [3, path], [4, value]] as const) writer.messageField(field, utf8(text));
    for (const field of [5, 7, 9]) {
      writer.tag(field, 0);
      writer.varint(0);
    }
    return writer.finish();
  }

  /** The same inside an InternalRaftRequest. */
  function wrapped(request: Uint8Array): Uint8Array {
    const writer = new WireWriter();
    writer.messageField(RaftOperation.V2, request);
    return writer.finish();
  }

  function apply(world: World, entry: Uint8Array): void {
    const { operation, body } = decodeRaftRequest(entry);
    expect(world.run(operation, body).error).toBeUndefined();
  }

  test.each([["bare", v2], ["wrapped", (...of: Parameters<typeof v2>) => wrapped(v2(...of))]] as const)(
    "publish members and set the version: %s",
    (_how, request) => {
      const world = new World();
      world.membership.add(MEMBER);
      const attributes = `{"name":"one","clientURLs":["http://c"]}`;
      apply(world, request("PUT", "/0/members/fedcba9876543210/attributes", attributes));
      apply(world, request("PUT", "/0/version", "3.5.0"));
      expect(world.membership.list()).toEqual([{ ...MEMBER, name: "one", clientUrls: ["http://c"] }]);
      expect(world.membership.clusterVersion).toBe("3.5.0");
    },
  );

  test("that read, or expire what is not there, do nothing", () => {
    const world = new World();
    apply(world, v2("QGET", "/0/members"));
    apply(world, v2("SYNC", ""));
    expect(world.membership.records()).toEqual(new Membership().records());
  });

  test("that write data stop whoever cannot keep it", () => {
    const world = new World();
    for (const request of [v2("PUT", "/1/key", "value"), v2("DELETE", "/0/version"), v2("POST", "/1/queue")]) {
      expect(() => apply(world, request)).toThrow(V2RequestError);
    }
    expect(() => apply(world, v2("PUT", "/1/key"))).toThrow("PUT /1/key");
  });
});

describe("a conf change", () => {
  const entry = (type: ConfChangeType, context: Uint8Array) =>
    toBinary(ConfChangeSchema, create(ConfChangeSchema, { type, nodeId: MEMBER.id, id: 99n, context }));
  const add = entry(ConfChangeType.ConfChangeAddNode, utf8(memberJson(MEMBER)));

  test("is carried out, and raft told of its member", () => {
    const membership = new Membership();
    expect(applyConfChange(membership, add)).toEqual({
      type: 0,
      memberId: MEMBER.id,
      requestId: 99n,
      error: undefined,
    });
    expect(membership.get(MEMBER.id)).toEqual(MEMBER);
    const removal = applyConfChange(membership, entry(ConfChangeType.ConfChangeRemoveNode, EMPTY_BYTES));
    expect(removal).toEqual({ type: 1, memberId: MEMBER.id, requestId: 99n, error: undefined });
    expect(membership.isRemoved(MEMBER.id)).toBe(true);
  });

  test("that is not allowed is told to its proposer, and raft of no member", () => {
    const membership = new Membership();
    applyConfChange(membership, add);
    expect(applyConfChange(membership, add)).toEqual({ type: 0, memberId: 0n, requestId: 99n, error: "member_exists" });
  });
});
