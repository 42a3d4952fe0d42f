import { describe, expect, test } from "bun:test";
import type { ReconfigurationError } from "../../src/member/mod.ts";
import { MemberRemovedError } from "../../src/member/mod.ts";
import { MessageType, newMessage } from "../../src/raft/mod.ts";
import { Cluster, type ClusterMember, peerUrl } from "../harness/cluster.ts";
import { beginPut, beginRead, put, read, untilEqual, valueAt } from "./cluster_support.ts";

/** Entries behind which a member needs a snapshot, small; and checkpoints that are made often. */
const SHORT_LOG = { snapshotCatchUpEntries: 10, snapshotCount: 20, checkpointLogSize: 1024 };

async function putMany(cluster: Cluster, machine: ClusterMember, count: number, prefix = "key"): Promise<void> {
  for (let i = 0; i < count; i++) expect(await put(cluster, machine, `${prefix}${i}`, `value${i}`)).toBe("done");
}

describe("three members", () => {
  test("elect one leader, and what one of them takes in all of them hold", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    expect(cluster.machines.filter(({ running }) => running.isLeader)).toEqual([leader]);
    for (const machine of cluster.machines) expect(await put(cluster, machine, machine.name, "value")).toBe("done");
    await untilEqual(cluster);
    for (const machine of cluster.machines) {
      expect(cluster.machines.map(({ name }) => valueAt(machine, name))).toEqual(["value", "value", "value"]);
      expect(machine.running.membership.list().map(({ name }) => name).sort()).toEqual(["m1", "m2", "m3"]);
    }
    await cluster.stopAll();
  });

  test("go on without their leader, and take it back in when it returns", async () => {
    const cluster = await Cluster.start(3);
    const first = await cluster.untilLeader();
    await putMany(cluster, first, 3);
    cluster.crash(first);
    const second = await cluster.untilLeader((machine) => machine !== first);
    await putMany(cluster, second, 3, "more");
    await cluster.restart(first);
    await untilEqual(cluster);
    expect([valueAt(first, "key2"), valueAt(first, "more2")]).toEqual(["value2", "value2"]);
    expect(first.running.raftStatus.leader).toBe(second.running.id);
    await cluster.stopAll();
  });

  test("hold what they held when all of them are restarted", async () => {
    const cluster = await Cluster.start(3);
    await putMany(cluster, await cluster.untilLeader(), 5);
    for (const machine of cluster.machines) cluster.crash(machine);
    for (const machine of cluster.machines) await cluster.restart(machine);
    await cluster.ready();
    for (const machine of cluster.machines) expect(await read(cluster, machine, "key4")).toBe("value4");
    await cluster.stopAll();
  });

  test("answer nothing where there is no quorum, and say why", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    cluster.isolate(leader);
    const lost = beginPut(leader, "key", "lost");
    await cluster.untilLeader((machine) => machine !== leader);
    await cluster.until(() => lost.answer !== undefined);
    expect(lost.answer).toBe("timeout");
    cluster.network.heal();
    await untilEqual(cluster);
    for (const machine of cluster.machines) expect(valueAt(machine, "key")).toBeUndefined();
    await cluster.stopAll();
  });

  test("do not heed a heartbeat that commits what nobody has", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [follower] = cluster.others(leader);
    const { handler } = cluster.network.endpoints.get(follower.running.id)!;
    handler.receive({
      ...newMessage(MessageType.HEARTBEAT, follower.running.id),
      from: leader.running.id,
      term: leader.running.raftStatus.term,
      commit: leader.running.raftStatus.commitIndex + 1000,
    });
    expect(await put(cluster, follower, "key", "value")).toBe("done");
    await untilEqual(cluster);
    await cluster.stopAll();
  });

  test("let a proposal wait for a leader", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [other] = cluster.others(leader);
    cluster.crash(leader);
    await cluster.until(() => other.running.raftStatus.leader === 0n || other.running.isLeader);
    expect(await put(cluster, other, "key", "value")).toBe("done");
    await cluster.restart(leader);
    await cluster.stopAll();
  });
});

describe("linearizable reads", () => {
  test("see every write that was acknowledged before, through any member", async () => {
    const cluster = await Cluster.start(3);
    for (let i = 0; i < 9; i++) {
      const machine = cluster.machines[i % 3];
      expect(await put(cluster, cluster.machines[(i + 1) % 3], "key", `value${i}`)).toBe("done");
      expect(await read(cluster, machine, "key")).toBe(`value${i}`);
    }
    await cluster.stopAll();
  });

  test("are never answered from the past by a leader that was deposed", async () => {
    const cluster = await Cluster.start(3);
    const old = await cluster.untilLeader();
    expect(await put(cluster, old, "key", "old")).toBe("done");
    cluster.isolate(old);
    const stale = beginRead(old, "key");
    const next = await cluster.untilLeader((machine) => machine !== old);
    expect(await put(cluster, next, "key", "new")).toBe("done");
    expect(valueAt(old, "key")).toBe("old");
    const later = beginRead(old, "key");
    await cluster.until(() => stale.result !== undefined && later.result !== undefined);
    for (const { result } of [stale, later]) expect(result).toBe("timeout");
    cluster.network.heal();
    expect(await read(cluster, old, "key")).toBe("new");
    await cluster.stopAll();
  });

  test("of one turn share one round", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [follower] = cluster.others(leader);
    await cluster.clock.advance(1);
    let rounds = 0;
    cluster.network.filter = (message) => {
      if (message.type === MessageType.READ_INDEX) rounds++;
      return true;
    };
    const reads = Array.from({ length: 100 }, () => beginRead(follower, "key"));
    await cluster.until(() => reads.every(({ result }) => result !== undefined));
    expect(new Set(reads.map(({ result }) => result))).toEqual(new Set(["nothing"]));
    expect(rounds).toBe(1);
    await cluster.stopAll();
  });

  test("are asked for again when the answer was lost", async () => {
    const cluster = await Cluster.start(3);
    const [follower] = cluster.others(await cluster.untilLeader());
    let isLost = false;
    cluster.network.filter = (message) =>
      message.type !== MessageType.READ_INDEX_RESPONSE || isLost || !(isLost = true);
    expect(await read(cluster, follower, "key")).toBe("nothing");
    expect(isLost).toBe(true);
    await cluster.stopAll();
  });
});

/** Three members, led by one whose disk stops and goes on when it is told to. */
async function slowLeader() {
  const cluster = await Cluster.start(3);
  const { promise: end, resolve: endStall } = Promise.withResolvers<void>();
  let isStalled = false;
  const slow = cluster.machines[0];
  cluster.crash(slow, { seed: 1, latency: () => isStalled ? end : Promise.resolve() });
  await cluster.restart(slow);
  await cluster.ready();
  const leader = await cluster.untilLeader();
  if (leader !== slow) {
    const { id } = slow.running;
    expect(await cluster.clockUntilSettled((settle) => leader.running.moveLeader(id, settle))).toBeUndefined();
    await cluster.untilLeader((machine) => machine === slow);
  }
  return { cluster, slow, endStall, stall: () => void (isStalled = true) };
}

describe("a leader whose disk stalls", () => {
  test("hands over to a member whose disk works, and follows it once its own does again", async () => {
    const { cluster, slow, stall, endStall } = await slowLeader();
    const { running } = slow;
    const term = running.raftTerm;
    stall();
    // The two others are a quorum: what they have is committed, and is applied here when it is durable here.
    const waiting = beginPut(slow, "key", "value");
    await cluster.clock.advance(400);
    expect([running.isLeader, running.diskStalledMs]).toEqual([true, 0]);
    const startMs = cluster.clock.nowMs;
    const next = await cluster.untilLeader((machine) => machine !== slow);
    expect(cluster.clock.nowMs - startMs).toBeLessThan(400);
    expect(next.running.raftTerm).toBe(term + 1);
    expect(running.diskStalledMs).toBeGreaterThanOrEqual(500);
    expect(running.statistics).toMatchObject({ diskStallCount: 1, diskHandOverCount: 1 });
    expect(waiting.answer).toBeUndefined();
    for (const machine of cluster.others(slow)) expect(valueAt(machine, "key")).toBe("value");
    expect(await put(cluster, next, "other", "value")).toBe("done");
    // It sees what others hold already, and so waits; one that does not have to is answered at once.
    const late = beginRead(slow, "key");
    endStall();
    await cluster.until(() => late.result !== undefined && waiting.answer !== undefined);
    expect([late.result, waiting.answer]).toEqual(["value", "done"]);
    await untilEqual(cluster);
    await cluster.clock.advance(200);
    expect([running.diskStalledMs, running.raftTerm]).toEqual([0, term + 1]);
    await cluster.stopAll();
  });

  test("stays where nobody waits for its disk, and where the others' are no better", async () => {
    const { cluster, slow, stall, endStall } = await slowLeader();
    await cluster.clock.advance(5000);
    stall();
    cluster.isolate(slow);
    beginPut(slow, "key", "value");
    await cluster.clock.advance(800);
    cluster.network.heal();
    expect(slow.running.diskStalledMs).toBeGreaterThan(0);
    expect([slow.running.isLeader, slow.running.statistics.diskHandOverCount]).toEqual([true, 0]);
    endStall();
    await cluster.clock.advance(1000);
    expect(slow.running.diskStalledMs).toBe(0);
    await cluster.stopAll();
  });

  test("confirms a read without its disk", async () => {
    const cluster = await Cluster.start(3);
    let isStalled = false;
    const slow = cluster.machines[0];
    cluster.crash(slow, { seed: 1, latency: () => isStalled ? new Promise(() => {}) : Promise.resolve() });
    await cluster.restart(slow);
    await cluster.ready();
    const leader = await cluster.untilLeader();
    await untilEqual(cluster);
    isStalled = true;
    expect(await read(cluster, slow, "key")).toBe("nothing");
    expect(await read(cluster, leader, "key")).toBe("nothing");
  });
});

describe("a member that has lost its log", () => {
  test("helps nobody to lead who may lack what it once acknowledged", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [witness, behind] = cluster.others(leader);
    cluster.isolate(behind);
    expect(await put(cluster, leader, "key", "value")).toBe("done");
    // The witness comes back with an empty disk, as a member of a new cluster: nobody has asked whether there is one.
    await cluster.stop(witness);
    cluster.wipe(witness);
    cluster.network.heal();
    cluster.isolate(behind);
    await cluster.restart(witness);
    await cluster.clock.advance(500);
    cluster.crash(leader);
    cluster.network.heal();
    await cluster.clock.advance(20_000);
    expect(cluster.leader()).toBeUndefined();
    await cluster.restart(leader);
    const next = await cluster.untilLeader();
    expect(await read(cluster, next, "key")).toBe("value");
    await cluster.stop(witness);
    await cluster.stopAll();
  });
});

describe("a member that was away", () => {
  test("catches up from the log", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [away] = cluster.others(leader);
    cluster.crash(away);
    await putMany(cluster, leader, 20);
    await cluster.restart(away);
    await untilEqual(cluster);
    expect(valueAt(away, "key19")).toBe("value19");
    expect(cluster.network.snapshotCount).toBe(0);
    await cluster.stopAll();
  });

  test.each(["was cut off", "was restarted", "is restarted again after"])(
    "and %s catches up by a snapshot",
    async (how) => {
      const cluster = await Cluster.start(3, SHORT_LOG);
      const leader = await cluster.untilLeader();
      const [away] = cluster.others(leader);
      await putMany(cluster, leader, 3, "before");
      if (how === "was cut off") cluster.isolate(away);
      else cluster.crash(away);
      await putMany(cluster, leader, 200);
      if (how === "was cut off") cluster.network.heal();
      else await cluster.restart(away);
      await untilEqual(cluster);
      expect(cluster.network.snapshotCount).toBeGreaterThan(0);
      if (how === "is restarted again after") {
        cluster.crash(away);
        await cluster.restart(away);
        await untilEqual(cluster);
      }
      expect([valueAt(away, "before2"), valueAt(away, "key199")]).toEqual(["value2", "value199"]);
      expect(away.running.keyspace.store.revision).toBe(leader.running.keyspace.store.revision);
      // It takes part like any other.
      cluster.isolate(cluster.others(leader)[1]);
      expect(await put(cluster, leader, "after", "value")).toBe("done");
      expect(await put(cluster, away, "after", "again")).toBe("done");
      await cluster.stopAll();
    },
  );

  test("finds its database under the name of the snapshot when the power failed before it was in its place", async () => {
    const cluster = await Cluster.start(3, SHORT_LOG);
    const leader = await cluster.untilLeader();
    const [away] = cluster.others(leader);
    cluster.crash(away);
    await putMany(cluster, leader, 200);
    await cluster.restart(away);
    const { running } = away;
    await cluster.until(() => running.raftStatus.commitIndex > 100);
    for (let i = 0; i < 3; i++) {
      cluster.crash(away);
      await cluster.restart(away);
      await cluster.clock.advance(i * 7);
    }
    await untilEqual(cluster);
    expect(valueAt(away, "key199")).toBe("value199");
    await cluster.stopAll();
  });
});

describe("the membership", () => {
  test("grows by a learner that is promoted once it has caught up", async () => {
    const cluster = await Cluster.start(1, SHORT_LOG);
    const [first] = cluster.machines;
    await cluster.untilLeader();
    await putMany(cluster, first, 200);
    const learner = await cluster.add("m2", true, first);
    const { id } = learner.running;
    expect(await reconfigure(cluster, (settle) => first.running.addMember([peerUrl("m9")], true, settle))).toBe(
      "too_many_learners",
    );
    let early: ReconfigurationError | string | undefined;
    first.running.promoteMember(id, (_, error) => early = error);
    expect(early).toBe("learner_not_ready");
    await cluster.wait(learner.running.whenReady);
    await untilEqual(cluster);
    expect(cluster.network.snapshotCount).toBeGreaterThan(0);
    expect(first.running.isReadable).toBe(true);
    expect(await reconfigure(cluster, (settle) => first.running.promoteMember(id, settle))).toBeUndefined();
    expect(first.running.isReadable).toBe(false);
    await untilEqual(cluster);
    expect(learner.running.membership.get(id)!.isLearner).toBe(false);
    // Two voters: none of them can do without the other.
    cluster.isolate(learner);
    expect(await put(cluster, first, "alone", "value")).not.toBe("done");
    cluster.network.heal();
    expect(await put(cluster, learner, "together", "value")).toBe("done");
    await cluster.stopAll();
  });

  test("grows by a member that finds its own name in the snapshot that it gets, and is ready at once", async () => {
    const cluster = await Cluster.start(1, SHORT_LOG);
    const [first] = cluster.machines;
    await cluster.untilLeader();
    await putMany(cluster, first, 200);
    // The log, and so the snapshot, waits until what the new member publishes is committed.
    let publishedMs = Infinity;
    cluster.network.filter = ({ type, to }) => {
      if (type === MessageType.PROPOSAL && to === first.running.id) publishedMs = cluster.clock.nowMs;
      return type !== MessageType.APPEND || cluster.clock.nowMs > publishedMs + 1000;
    };
    const learner = await cluster.add("m2", true, first);
    await cluster.until(() => publishedMs < Infinity);
    const name = () => first.running.membership.get(learner.running.id)!.name;
    await cluster.until(() => name() === "m2");
    await cluster.wait(learner.running.whenReady, 3000);
    expect(cluster.network.snapshotCount).toBe(1);
    await cluster.stopAll();
  });

  test("can lose its leader, which ends on purpose", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const { id } = leader.running;
    await cluster.healthy();
    expect(await reconfigure(cluster, (settle) => leader.running.removeMember(id, settle))).toBeUndefined();
    const next = await cluster.untilLeader((machine) => machine !== leader);
    await cluster.until(() => leader.fatal.length > 0);
    expect(leader.fatal[0]).toBeInstanceOf(MemberRemovedError);
    expect(leader.fatal[0].message).toBe("the member has been permanently removed from the cluster");
    await cluster.stop(leader);
    expect(await put(cluster, next, "key", "value")).toBe("done");
    expect(next.running.membership.list()).toHaveLength(2);
    // It does not come back under its old id.
    await cluster.restart(leader);
    await cluster.until(() => leader.fatal.length > 1);
    expect(leader.fatal[1]).toBeInstanceOf(MemberRemovedError);
    await cluster.stopAll();
  });

  test("that has shrunk to one is not forgotten by it, whenever the power fails", async () => {
    const cluster = await Cluster.start(2);
    const leader = await cluster.untilLeader();
    const [other] = cluster.others(leader);
    const { id } = other.running;
    await cluster.clock.advance(6000);
    expect(await reconfigure(cluster, (settle) => leader.running.removeMember(id, settle))).toBeUndefined();
    cluster.crash(leader);
    await cluster.stop(other);
    await cluster.restart(leader);
    await cluster.until(() => leader.running.isLeader);
    expect(leader.running.membership.list().length).toBe(1);
    await cluster.stopAll();
  });

  test("never loses its last voter, nor knows a stranger", async () => {
    const cluster = await Cluster.start(1);
    const { running } = await cluster.untilLeader();
    const errors = [
      await reconfigure(cluster, (settle) => running.removeMember(running.id, settle)),
      await reconfigure(cluster, (settle) => running.removeMember(7n, settle)),
      await reconfigure(cluster, (settle) => running.promoteMember(running.id, settle)),
      await reconfigure(cluster, (settle) => running.updateMember(7n, ["http://x:1"], settle)),
      await reconfigure(cluster, (settle) => running.addMember([peerUrl("m1")], false, settle)),
    ];
    expect(errors).toEqual([
      "not_enough_started_members",
      "member_not_found",
      "member_not_learner",
      "member_not_found",
      "peer_url_exists",
    ]);
    await cluster.stopAll();
  });
});

describe("leadership", () => {
  test("goes where it is wanted", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [target] = cluster.others(leader);
    const startMs = cluster.clock.nowMs;
    const error = await cluster.clockUntilSettled((settle) => leader.running.moveLeader(target.running.id, settle));
    expect(error).toBeUndefined();
    await cluster.until(() => target.running.isLeader);
    expect(cluster.clock.nowMs - startMs).toBeLessThan(500);
    expect(await put(cluster, leader, "key", "value")).toBe("done");
    await cluster.stopAll();
  });

  test("is handed over by a leader that is stopped, so that nobody waits for an election", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const startMs = cluster.clock.nowMs;
    await cluster.stop(leader, true);
    const next = await cluster.untilLeader();
    expect(next).not.toBe(leader);
    expect(cluster.clock.nowMs - startMs).toBeLessThan(500);
    await cluster.stopAll();
  });

  test("is handed over without losing what others have just passed on", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [target, other] = cluster.others(leader);
    const puts = [beginPut(target, "a", "1"), beginPut(other, "b", "1")];
    // On their way; a millisecond later they meet a leader that is about to go.
    await cluster.clock.advance(0);
    leader.running.moveLeader(target.running.id, () => {});
    puts.push(beginPut(target, "a", "2"), beginPut(other, "b", "2"), beginPut(leader, "c", "2"));
    const startMs = cluster.clock.nowMs;
    await cluster.until(() => puts.every(({ answer }) => answer !== undefined));
    expect(puts.map(({ answer }) => answer)).toEqual(["done", "done", "done", "done", "done"]);
    expect(cluster.clock.nowMs - startMs).toBeLessThan(500);
    expect(target.running.isLeader).toBe(true);
    expect(["a", "b", "c"].map((key) => valueAt(target, key))).toEqual(["2", "2", "2"]);
    await cluster.stopAll();
  });

  test("is handed over once by a leader that is stopped twice at once", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const { running } = leader;
    await cluster.wait(Promise.all([running.stop({ transfersLeadership: true }), running.stop(), running.handOver()]));
    leader.member = undefined;
    await cluster.untilLeader();
    expect(leader.fatal).toEqual([]);
    await cluster.stopAll();
  });

  test("carries the leases along: they are renewed through any member, and none expires early", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const [follower] = cluster.others(leader);
    await cluster.grant(follower, 7n, 10);
    const renew = () => cluster.clockUntilSettled<number>((settle) => follower.running.renewLease(7n, settle));
    for (let i = 0; i < 3; i++) {
      await cluster.clock.advance(6000);
      expect(await renew()).toBe(10);
    }
    await cluster.clock.advance(3000);
    expect(await cluster.clockUntilSettled<number>((settle) => follower.running.remainingTtl(7n, settle))).toBe(6);
    cluster.crash(leader);
    await cluster.untilLeader((machine) => machine !== leader);
    await cluster.clock.advance(8000);
    expect(follower.running.keyspace.lessor.has(7n)).toBe(true);
    expect(await renew()).toBe(10);
    await cluster.clock.advance(13_000);
    expect(follower.running.keyspace.lessor.has(7n)).toBe(false);
    expect(await renew()).toBe(0);
    await cluster.stopAll();
  });
});

function reconfigure(
  cluster: Cluster,
  start: (settle: (members: unknown, error: string | undefined) => void) => void,
): Promise<string | undefined> {
  return cluster.clockUntilSettled((settle) => start((_, error) => settle(error)));
}
