import { describe, expect, test } from "bun:test";
import { entriesOfLoneMember } from "../../src/member/force_new_cluster.ts";
import { type Member, Membership, readChange } from "../../src/membership/mod.ts";
import { fromBinary } from "@bufbuild/protobuf";
import { ConfChangeSchema } from "../../src/gen/raftpb/raft_pb.ts";
import { utf8Text } from "../../src/base/bytes.ts";
import { Cluster, type ClusterMember } from "../harness/cluster.ts";
import type { Fault, Operation } from "../harness/simulated_disk.ts";
import { beginPut, put, read, valueAt } from "./cluster_support.ts";

const FORCED = { forcesNewCluster: true };

/** Three members with some keys, all without power. */
async function lostCluster(): Promise<{ cluster: Cluster; survivor: ClusterMember }> {
  const cluster = await Cluster.start(3);
  const leader = await cluster.untilLeader();
  for (let i = 0; i < 5; i++) await put(cluster, leader, `key${i}`, `value${i}`);
  await cluster.clock.advance(1000);
  for (const machine of cluster.machines) cluster.crash(machine);
  return { cluster, survivor: cluster.machines[1] };
}

/** It serves, is alone, and holds what was acknowledged. */
async function expectAlone(cluster: Cluster, survivor: ClusterMember): Promise<void> {
  await cluster.wait(survivor.running.whenReady);
  const { membership, id, isLeader } = survivor.running;
  expect(membership.list().map((member) => member.id)).toEqual([id]);
  expect(membership.removedIds().length).toBe(2);
  expect(isLeader).toBe(true);
  for (let i = 0; i < 5; i++) expect(await read(cluster, survivor, `key${i}`)).toBe(`value${i}`);
}

describe("a member that is forced to go on alone", () => {
  test("holds what was committed, and takes others in again", async () => {
    const { cluster, survivor } = await lostCluster();
    const { clusterId } = await cluster.clock.run(cluster.begin(survivor, FORCED)).then(() => survivor.running);
    await expectAlone(cluster, survivor);
    expect(await put(cluster, survivor, "after", "value")).toBe("done");
    const added = await cluster.add("m4", false, survivor);
    await cluster.wait(added.running.whenReady);
    expect(added.running.clusterId).toBe(clusterId);
    expect(await read(cluster, added, "key4")).toBe("value4");
    await cluster.stopAll();
  });

  test("is alone for good: also when it is started again without being forced, and when it is forced again", async () => {
    const { cluster, survivor } = await lostCluster();
    await cluster.clock.run(cluster.begin(survivor, FORCED));
    await expectAlone(cluster, survivor);
    cluster.crash(survivor);
    await cluster.restart(survivor);
    await expectAlone(cluster, survivor);
    cluster.crash(survivor);
    await cluster.clock.run(cluster.begin(survivor, FORCED));
    await expectAlone(cluster, survivor);
    await cluster.stopAll();
  });

  test("gives up what was never committed", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    await put(cluster, leader, "key", "kept");
    cluster.isolate(leader);
    const lost = beginPut(leader, "key", "given up");
    await cluster.clock.advance(300);
    expect(lost.answer).toBeUndefined();
    for (const machine of cluster.machines) cluster.crash(machine);
    await cluster.clock.run(cluster.begin(leader, FORCED));
    await cluster.wait(leader.running.whenReady);
    expect(valueAt(leader, "key")).toBe("kept");
    await cluster.stopAll();
  });

  test("is so after a loss of power at any operation of its disk, if it is forced again", async () => {
    for (let number = 1, isWhole = false; !isWhole; number++) {
      const { cluster, survivor } = await lostCluster();
      let count = 0;
      const fault = (_: Operation): Fault | undefined => {
        if (++count < number) return undefined;
        return number % 2 === 0 ? "crash-before" : "crash-after";
      };
      survivor.disk = survivor.disk.crash({ seed: number, fault });
      cluster.begin(survivor, FORCED).catch(() => {});
      await cluster.clock.advance(1000);
      isWhole = count < number;
      cluster.crash(survivor, { seed: number });
      await cluster.clock.run(cluster.begin(survivor, FORCED));
      await expectAlone(cluster, survivor);
      await cluster.stopAll();
    }
  });
});

describe("the entries that leave a member alone", () => {
  const member = (id: bigint, isLearner = false): Member => ({
    id,
    name: `m${id}`,
    peerUrls: [`http://m${id}:2380`],
    clientUrls: [],
    isLearner,
  });

  function changesOf(members: readonly Member[]): string[] {
    const membership = new Membership();
    for (const one of members) membership.add(one);
    const entries = entriesOfLoneMember(1n, membership, ["http://new:2380"], { term: 7, index: 40 });
    expect(entries.map(({ term, index }) => [term, index])).toEqual(entries.map((_, i) => [7, 41 + i]));
    for (const { data } of entries) {
      const { type, nodeId, context } = fromBinary(ConfChangeSchema, data);
      expect(membership.change(readChange(type, nodeId, utf8Text(context)))).toBeUndefined();
      expect(membership.list().some(({ isLearner }) => !isLearner)).toBe(true);
    }
    return membership.list().map(({ id, isLearner }) => `${id} ${isLearner ? "learner" : "voter"}`);
  }

  test("remove the others, and first make a voter of what is none", () => {
    expect(changesOf([member(1n), member(2n), member(3n, true)])).toEqual(["1 voter"]);
    expect(changesOf([member(1n, true), member(2n)])).toEqual(["1 voter"]);
    expect(changesOf([member(2n)])).toEqual(["1 voter"]);
    expect(changesOf([member(1n)])).toEqual(["1 voter"]);
  });

  test("are none for a member that was removed", () => {
    const membership = new Membership();
    for (const id of [1n, 2n]) membership.add(member(id));
    membership.change({ type: 1, id: 1n, context: undefined });
    expect(() => entriesOfLoneMember(1n, membership, [], { term: 1, index: 1 })).toThrow(
      "a removed member never comes",
    );
  });
});
