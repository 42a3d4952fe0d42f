import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { LONG_QUESTIONS_MAX } from "../../src/base/limits.ts";
import {
  CompactionRequestSchema,
  DeleteRangeRequestSchema,
  PutRequestSchema,
} from "../../src/gen/etcdserverpb/kv_pb.ts";
import { LeaseInternalRequestSchema, LeaseInternalResponseSchema } from "../../src/gen/leasepb/lease_pb.ts";
import { membersFromJson } from "../../src/membership/mod.ts";
import type { Answer, Question } from "../../src/peer/mod.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { Cluster, type ClusterMember } from "../harness/cluster.ts";
import recorded from "./peer_answers.json" with { type: "json" };

/** A question that etcd 3.7.1 was asked on its peer port, and its answer; protobuf as hexadecimal. Or what came before it. */
interface Recorded {
  readonly step?: string;
  readonly method: Question["method"];
  readonly path: string;
  readonly body: string;
  readonly isProtobuf?: boolean;
  readonly status: number;
  readonly contentType: string;
  readonly answer: string;
}

async function propose(cluster: Cluster, { running }: ClusterMember, operation: number, body: Uint8Array) {
  const error = await cluster.clockUntilSettled<string | undefined>((settle) =>
    running.propose(operation, body, (outcome, reason) => settle(reason ?? outcome?.error))
  );
  expect(error).toBeUndefined();
}

function put(key: string, value: string, lease = 0n): Uint8Array {
  return toBinary(PutRequestSchema, create(PutRequestSchema, { key: utf8(key), value: utf8(value), lease }));
}

function remove(key: string): Uint8Array {
  return toBinary(DeleteRangeRequestSchema, create(DeleteRangeRequestSchema, { key: utf8(key) }));
}

const STEPS: Record<string, (cluster: Cluster, machine: ClusterMember) => Promise<void>> = {
  start: () => Promise.resolve(),
  "put a 1, b <&>, a 2, c 3": async (cluster, machine) => {
    for (const [key, value] of [["a", "1"], ["b", "<&>"], ["a", "2"], ["c", "3"]]) {
      await propose(cluster, machine, RaftOperation.PUT, put(key, value));
    }
  },
  "compact 4": async (cluster, machine) => {
    const body = toBinary(CompactionRequestSchema, create(CompactionRequestSchema, { revision: 4n }));
    await propose(cluster, machine, RaftOperation.COMPACTION, body);
    await cluster.clock.advance(1000);
  },
  "delete a, c, b": async (cluster, machine) => {
    for (const key of ["a", "c", "b"]) await propose(cluster, machine, RaftOperation.DELETE_RANGE, remove(key));
  },
  "grant 4660 of 1000 s with keys k1, k2": async (cluster, machine) => {
    await cluster.grant(machine, 4660n, 1000);
    await propose(cluster, machine, RaftOperation.PUT, put("k1", "x", 4660n));
  },
};

function bytesOf({ isProtobuf }: Recorded, text: string): Uint8Array {
  return isProtobuf === true ? Uint8Array.fromHex(text) : utf8(text);
}

function textOf({ isProtobuf, status }: Recorded, { body }: Answer): string {
  return isProtobuf === true && status === 200 ? body.toHex() : utf8Text(body);
}

test("a member answers on its peer port as etcd does, to the byte", async () => {
  const cluster = await Cluster.start(1);
  const [machine] = cluster.machines;
  for (const question of recorded as unknown as Recorded[]) {
    if (question.step !== undefined) await STEPS[question.step](cluster, machine);
    else {
      const { method, path, body, status, contentType, answer } = question;
      const asked = `${method} ${path} ${body}`;
      await cluster.clock.advance(10);
      const given = await cluster.ask(machine, { method, path, body: bytesOf(question, body) });
      expect([asked, given.status, given.contentType, textOf(question, given)]).toEqual(
        [asked, status, contentType, answer],
      );
    }
  }
  await cluster.stopAll();
});

describe("one of several members", () => {
  function internal(ID: bigint): Uint8Array {
    return toBinary(LeaseInternalRequestSchema, create(LeaseInternalRequestSchema, { LeaseTimeToLiveRequest: { ID } }));
  }

  test("that does not lead knows nothing of leases, except that there is none", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [follower] = cluster.others(leader);
    await cluster.grant(follower, 7n, 100);
    const ask = async (path: string, body: Uint8Array) => {
      const { status, body: text } = await cluster.ask(follower, { method: "POST", path, body });
      return [status, utf8Text(text)];
    };
    expect(await ask("/leases", Uint8Array.of(8, 7))).toEqual([400, "not a primary lessor\n"]);
    expect(await ask("/leases/internal", internal(7n))).toEqual([500, "not a primary lessor\n"]);
    expect(await ask("/leases/internal", internal(8n))).toEqual([404, "lease not found\n"]);
    const { status, body } = await cluster.ask(leader, {
      method: "POST",
      path: "/leases/internal",
      body: internal(7n),
    });
    expect([status, fromBinary(LeaseInternalResponseSchema, body).LeaseTimeToLiveResponse?.grantedTTL]).toEqual([
      200,
      100n,
    ]);
    await cluster.stopAll();
  });

  test("refuses questions about leases that are too large, or make no sense", async () => {
    const cluster = await Cluster.start(1);
    const [machine] = cluster.machines;
    for (const path of ["/leases", "/leases/internal"]) {
      const large = await cluster.ask(machine, { method: "POST", path, body: new Uint8Array(64 * 1024 + 1) });
      expect([large.status, utf8Text(large.body)]).toEqual([413, "request body too large\n"]);
    }
    const empty = await cluster.ask(machine, { method: "POST", path: "/leases/internal" });
    expect(empty.status).toBe(400);
    await cluster.stopAll();
  });

  test("says that it has not caught up, where that takes longer than a second", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const { promise: end, resolve: endStall } = Promise.withResolvers<void>();
    let isStalled = false;
    const [slow] = cluster.others(leader);
    cluster.crash(slow, { seed: 1, latency: () => isStalled ? end : Promise.resolve() });
    await cluster.restart(slow);
    await cluster.ready();
    isStalled = true;
    // The others commit it, and the slow one hears of that, but has not got it on its disk.
    await cluster.grant(leader, 7n, 100);
    await cluster.clock.advance(200);
    const ask = (body: Uint8Array) => cluster.ask(slow, { method: "POST", path: "/leases", body });
    const late = await ask(Uint8Array.of(8, 7));
    expect([late.status, utf8Text(late.body)]).toEqual(
      [408, "waiting for node to catch up its applied index has timed out\n"],
    );
    const soon = ask(Uint8Array.of(8, 7));
    endStall();
    expect((await soon).status).toBe(400);
    await cluster.stopAll();
  });

  test("tells whether a downgrade goes on only as the whole cluster knows it", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const path = "/downgrade/enabled";
    cluster.isolate(leader);
    const cut = await cluster.ask(leader, { path });
    expect([cut.status, cut.contentType]).toEqual([500, "text/plain; charset=utf-8"]);
    expect(utf8Text(cut.body)).toStartWith("failed linearized read: etcdserver: ");
    cluster.network.heal();
    await cluster.untilLeader((machine) => machine.running.raftStatus.term > 2);
    const next = await cluster.untilLeader();
    expect(
      await cluster.clockUntilSettled((settle) => next.running.versions.enableDowngrade("3.6", settle)),
    ).toBeUndefined();
    for (const machine of cluster.machines) expect(utf8Text((await cluster.ask(machine, { path })).body)).toBe("true");
    await cluster.stopAll();
  });

  test("promotes for whoever asks, and so do those that do not lead", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [follower] = cluster.others(leader);
    await cluster.healthy();
    const learner = await cluster.add("m4", true, leader);
    await cluster.ready();
    const { id } = learner.running;
    const answer = await cluster.ask(follower, { method: "POST", path: `/members/promote/${id}` });
    expect([answer.status, answer.contentType]).toEqual([200, "application/json"]);
    const members = membersFromJson(utf8Text(answer.body));
    expect(members.find((member) => member.id === id)).toMatchObject({ isLearner: false, name: "m4" });
    const again = await cluster.ask(follower, { method: "POST", path: `/members/promote/${id}` });
    expect([again.status, utf8Text(again.body)]).toEqual([412, "membership: can only promote a learner member\n"]);
    await cluster.stopAll();
  });
});

test("hashes are computed for so many at a time; the others are told at once", async () => {
  const cluster = await Cluster.start(1);
  const [machine] = cluster.machines;
  await propose(cluster, machine, RaftOperation.PUT, put("a", "1"));
  const { handler } = cluster.network.endpoints.get(machine.running.id)!;
  const question: Question = { method: "GET", path: "/members/hashkv", contentType: "", body: utf8('{"revision":0}') };
  const asked = Array.from({ length: LONG_QUESTIONS_MAX + 3 }, () => handler.answer(question));
  const answers = await cluster.wait(Promise.all(asked));
  expect(answers.map(({ status }) => status)).toEqual([...Array(LONG_QUESTIONS_MAX).fill(200), 503, 503, 503]);
  expect((await cluster.wait(handler.answer(question))).status).toBe(200);
  await cluster.stopAll();
});
