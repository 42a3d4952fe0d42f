import { describe, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { Cluster as ClusterService, type Member } from "../../src/gen/etcdserverpb/cluster_pb.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { Cluster, type ClusterMember, peerUrl } from "../harness/cluster.ts";
import { ClusterClient } from "../harness/cluster_client.ts";

const { memberAdd, memberRemove, memberUpdate, memberPromote, memberList } = ClusterService.method;

interface World {
  readonly cluster: Cluster;
  readonly leader: ClusterMember;
  readonly follower: ClusterMember;
  readonly atLeader: ClusterClient;
  readonly atFollower: ClusterClient;
}

/** A cluster in which everybody has been within reach of everybody for long enough. */
async function healthyCluster(count = 3, options = {}): Promise<World> {
  const cluster = await Cluster.start(count, options);
  const leader = await cluster.untilLeader();
  const follower = cluster.others(leader)[0] ?? leader;
  await cluster.healthy();
  return {
    cluster,
    leader,
    follower,
    atLeader: new ClusterClient(cluster, leader),
    atFollower: new ClusterClient(cluster, follower),
  };
}

function text({ name, peerURLs, clientURLs, isLearner }: Member): string {
  return [name, peerURLs.join(","), clientURLs.join(","), isLearner].join(" ");
}

describe("adding", () => {
  test("a voter or a learner, through any member, answers with it and with all members", async () => {
    const { cluster, atFollower, follower } = await healthyCluster();
    const { header, member, members } = await atFollower.call(memberAdd, {
      peerURLs: [peerUrl("z"), " http://a:1 "],
      isLearner: true,
    });
    expect(text(member!)).toBe(" http://a:1,http://z:2380  true");
    expect(members.map(({ ID }) => ID)).toContain(member!.ID);
    expect(members.map(({ ID }) => ID)).toEqual(members.map(({ ID }) => ID).sort((a, b) => a < b ? -1 : 1));
    expect([header!.memberId, header!.clusterId, header!.revision]).toEqual(
      [follower.running.id, follower.running.clusterId, 0n],
    );
    expect(header!.raftTerm).toBeGreaterThan(1n);
    await atFollower.call(memberRemove, { ID: member!.ID });
    const added = await atFollower.call(memberAdd, { peerURLs: [peerUrl("m9")] });
    expect(text(added.member!)).toBe(" http://m9:2380  false");
    const list = await atFollower.call(memberList, { linearizable: true });
    expect(list.members.map(text)).toContain(text(added.member!));
    await cluster.stopAll();
  });

  test("takes the URLs that etcd takes", async () => {
    const { cluster, atLeader } = await healthyCluster(1);
    const BAD = "3 etcdserver: given member URLs are invalid";
    for (
      const peerURLs of [
        [],
        [""],
        ["m9:2380"],
        ["http://m9"],
        ["http://m9:1/path"],
        ["ftp://m9:1"],
        ["http://m9:x"],
        ["http://m 9:1"],
        ["http://m9:1", "x"],
      ]
    ) expect([peerURLs, await atLeader.errorOf(memberAdd, { peerURLs })]).toEqual([peerURLs, BAD]);
    const { member } = await atLeader.call(memberAdd, { peerURLs: ["unix://m9", "https://m9:1"], isLearner: true });
    expect(member!.peerURLs).toEqual(["https://m9:1", "unix://m9"]);
    await cluster.stopAll();
  });

  test("is refused for an address in use, and a learner too many", async () => {
    const { cluster, atFollower } = await healthyCluster();
    expect(await atFollower.errorOf(memberAdd, { peerURLs: [peerUrl("m1")] })).toBe(
      "9 etcdserver: Peer URLs already exists",
    );
    await atFollower.call(memberAdd, { peerURLs: [peerUrl("m9")], isLearner: true });
    expect(await atFollower.errorOf(memberAdd, { peerURLs: [peerUrl("m8")], isLearner: true })).toBe(
      "9 etcdserver: too many learner members in cluster",
    );
    await cluster.stopAll();
  });

  test("of the same address within a second finds the id taken", async () => {
    const { cluster, atLeader } = await healthyCluster(1);
    await cluster.clock.advance(1000 - cluster.clock.wallMs() % 1000);
    const request = { peerURLs: [peerUrl("m9")], isLearner: true };
    await atLeader.call(memberAdd, request);
    expect(await atLeader.errorOf(memberAdd, request)).toBe("9 etcdserver: member ID already exist");
    await cluster.stopAll();
  });
});

test("changes asked for at once, of several members, are made one after the other", async () => {
  const { cluster, atLeader } = await healthyCluster();
  const clients = cluster.machines.map((machine) => new ClusterClient(cluster, machine));
  const startMs = cluster.clock.nowMs;
  const errors = await Promise.all([
    ...clients.map((client, i) => client.errorOf(memberAdd, { peerURLs: [peerUrl(`n${i}`)], isLearner: true })),
    ...clients.map((client, i) => client.errorOf(memberUpdate, { ID: 7n, peerURLs: [peerUrl(`o${i}`)] })),
  ]);
  expect(cluster.clock.nowMs - startMs).toBeLessThan(200);
  const TOO_MANY = "9 etcdserver: too many learner members in cluster";
  const UNKNOWN = "5 etcdserver: member not found";
  expect(errors.sort()).toEqual([UNKNOWN, UNKNOWN, UNKNOWN, TOO_MANY, TOO_MANY, "none"]);
  expect((await atLeader.call(memberList)).members).toHaveLength(4);
  await cluster.stopAll();
});

test("a change that comes to a leader who hands over is made by the next one", async () => {
  const { cluster, leader, follower, atFollower } = await healthyCluster();
  const other = cluster.others(leader).find((machine) => machine !== follower)!;
  // The transfer waits for a member that cannot be reached.
  cluster.network.cut(leader.running.id, other.running.id);
  cluster.network.cut(other.running.id, leader.running.id);
  leader.running.moveLeader(other.running.id, () => {});
  await cluster.clock.advance(50);
  const startMs = cluster.clock.nowMs;
  expect(await atFollower.errorOf(memberUpdate, { ID: 7n, peerURLs: [peerUrl("m7")] })).toBe(
    "5 etcdserver: member not found",
  );
  expect(cluster.clock.nowMs - startMs).toBeLessThan(3000);
  cluster.network.heal();
  await cluster.stopAll();
});

const UNHEALTHY = "14 etcdserver: unhealthy cluster";
const NOT_STARTED = "2 etcdserver: re-configuration failed due to not enough started members";

describe("the strict check", () => {
  test("wants a quorum that has been within reach for five seconds, with the new member or without the old", async () => {
    const cluster = await Cluster.start(3);
    const leader = await cluster.untilLeader();
    const client = new ClusterClient(cluster, leader);
    const [one, other] = cluster.others(leader).map(({ running }) => running.id);
    expect(await client.errorOf(memberAdd, { peerURLs: [peerUrl("m9")] })).toBe(UNHEALTHY);
    expect(await client.errorOf(memberAdd, { peerURLs: [peerUrl("m9")], isLearner: true })).toBe(UNHEALTHY);
    expect(await client.errorOf(memberRemove, { ID: one })).toBe(UNHEALTHY);
    expect(await client.errorOf(memberRemove, { ID: leader.running.id })).toBe(UNHEALTHY);
    await cluster.healthy();
    cluster.network.cut(leader.running.id, other);
    expect(await client.errorOf(memberAdd, { peerURLs: [peerUrl("m9")] })).toBe(UNHEALTHY);
    expect(await client.errorOf(memberRemove, { ID: one })).toBe(UNHEALTHY);
    // Nothing is lost with one that is gone.
    expect(await client.errorOf(memberRemove, { ID: other })).toBe("none");
    cluster.network.heal();
    await cluster.stopAll();
  });

  test("wants a quorum of members that have ever started", async () => {
    const { cluster, atLeader, leader } = await healthyCluster(1);
    expect(await atLeader.errorOf(memberRemove, { ID: leader.running.id })).toBe(NOT_STARTED);
    // The second of two may be added; then nobody knows whether it exists.
    const { member } = await atLeader.call(memberAdd, { peerURLs: [peerUrl("m2")], isLearner: true });
    expect(await atLeader.errorOf(memberPromote, { ID: member!.ID })).toBe(
      "9 etcdserver: can only promote a learner member which is in sync with leader",
    );
    await cluster.stopAll();
  });

  test("keeps a cluster of two, of which one never started, from growing", async () => {
    const { cluster, leader, atLeader } = await healthyCluster(1);
    await cluster.add("m2", false, leader);
    await cluster.ready();
    await atLeader.call(memberAdd, { peerURLs: [peerUrl("m3")] });
    expect(await atLeader.errorOf(memberAdd, { peerURLs: [peerUrl("m4")] })).toBe(NOT_STARTED);
    expect(await atLeader.errorOf(memberRemove, { ID: leader.running.id })).toBe(NOT_STARTED);
    await cluster.stopAll();
  });

  test("can be left out, but the last voter stays", async () => {
    const cluster = await Cluster.start(3, { strictReconfigCheck: false });
    const leader = await cluster.untilLeader();
    const client = new ClusterClient(cluster, leader);
    for (const machine of cluster.others(leader)) {
      expect(await client.errorOf(memberRemove, { ID: machine.running.id })).toBe("none");
    }
    expect(await client.errorOf(memberRemove, { ID: leader.running.id })).toBe(NOT_STARTED);
    await cluster.stop(leader);
  });
});

describe("removing", () => {
  test("through any member; whoever is gone is not found any more", async () => {
    const { cluster, atFollower, leader, follower } = await healthyCluster();
    const third = cluster.others(leader).find((machine) => machine !== follower)!;
    const { id } = third.running;
    const { members } = await atFollower.call(memberRemove, { ID: id });
    expect(members.map(({ name }) => name).sort()).toEqual([leader.name, follower.name].sort());
    expect(await atFollower.errorOf(memberRemove, { ID: id })).toBe("5 etcdserver: member not found");
    expect(await atFollower.errorOf(memberRemove, { ID: 7n })).toBe("5 etcdserver: member not found");
    await cluster.until(() => third.fatal.length > 0);
    expect(third.fatal[0].message).toBe("the member has been permanently removed from the cluster");
    await cluster.stopAll();
  });
});

describe("updating", () => {
  test("changes the addresses, through any member", async () => {
    const { cluster, atFollower, leader } = await healthyCluster();
    const ID = leader.running.id;
    const { members } = await atFollower.call(memberUpdate, { ID, peerURLs: ["http://z:1", "http://a:1"] });
    expect(members.find((member) => member.ID === ID)!.peerURLs).toEqual(["http://z:1", "http://a:1"]);
    expect(await atFollower.errorOf(memberUpdate, { ID: 7n, peerURLs: ["http://b:1"] })).toBe(
      "5 etcdserver: member not found",
    );
    const own = cluster.machines.find((machine) => machine !== leader)!.name;
    expect(await atFollower.errorOf(memberUpdate, { ID, peerURLs: [peerUrl(own)] })).toBe(
      "9 etcdserver: Peer URLs already exists",
    );
    for (const peerURLs of [[], ["nonsense"]]) {
      expect(await atFollower.errorOf(memberUpdate, { ID: 7n, peerURLs })).toBe("5 etcdserver: member not found");
      expect(await atFollower.errorOf(memberUpdate, { ID, peerURLs })).toBe(
        "3 etcdserver: given member URLs are invalid",
      );
    }
    await cluster.stopAll();
  });
});

describe("promoting", () => {
  test("a learner that has caught up, through any member", async () => {
    const { cluster, atLeader, atFollower, leader } = await healthyCluster();
    const learner = await cluster.add("m4", true, leader);
    await cluster.ready();
    const ID = learner.running.id;
    expect((await atFollower.call(memberList)).members.find((member) => member.ID === ID)!.isLearner).toBe(true);
    const { members, header } = await atFollower.call(memberPromote, { ID });
    expect(members.map(text)).toContain("m4 http://m4:2380 http://m4:2379 false");
    expect(header!.raftTerm).toBeGreaterThan(0n);
    for (const client of [atLeader, atFollower]) {
      expect(await client.errorOf(memberPromote, { ID })).toBe("9 etcdserver: can only promote a learner member");
      expect(await client.errorOf(memberPromote, { ID: 7n })).toBe("5 etcdserver: member not found");
    }
    await cluster.stopAll();
  });

  test("is refused, through any member, as long as the learner is behind", async () => {
    const { cluster, atLeader, atFollower } = await healthyCluster();
    const { member } = await atLeader.call(memberAdd, { peerURLs: [peerUrl("m4")], isLearner: true });
    for (const client of [atLeader, atFollower]) {
      expect(await client.errorOf(memberPromote, { ID: member!.ID })).toBe(
        "9 etcdserver: can only promote a learner member which is in sync with leader",
      );
    }
    await cluster.stopAll();
  });

  test("waits for a leader, and tells that there is none", async () => {
    const { cluster, leader, follower, atFollower } = await healthyCluster();
    cluster.isolate(leader);
    expect(await atFollower.errorOf(memberPromote, { ID: 7n })).toBe("5 etcdserver: member not found");
    cluster.isolate(follower);
    await cluster.clock.advance(3000);
    expect(await atFollower.errorOf(memberPromote, { ID: 7n })).toBe("14 etcdserver: no leader");
    await cluster.stopAll();
  });
});

describe("clients that want a leader", () => {
  test("are refused where there is none, and what they have open ends after three election timeouts", async () => {
    const { cluster, leader } = await healthyCluster();
    const client = new ClusterClient(cluster, leader);
    const watch = { requestUnion: { case: "createRequest", value: { key: utf8("a") } } } as const;
    const patient = client.stream(Watch.method.watch, watch);
    client.wantsLeader = true;
    const streams = [
      client.stream(Watch.method.watch, watch),
      client.stream(Lease.method.leaseKeepAlive, { ID: 7n }),
    ];
    const ends: string[] = [];
    for (const stream of streams) client.endOf(stream).then((end) => ends.push(end));
    const { id } = leader.running;
    cluster.isolate(leader);
    await cluster.until(() => leader.running.raftStatus.leader === 0n);
    expect(await client.errorOf(KV.method.range, { key: utf8("a") })).toBe("14 etcdserver: no leader");
    expect(await client.endOf(client.stream(Watch.method.watch, watch))).toBe("14 etcdserver: no leader");
    const { errors, leader: known } = await new ClusterClient(cluster, leader).call(Maintenance.method.status);
    expect([errors, known]).toEqual([["etcdserver: no leader"], 0n]);
    await cluster.clock.advance(2800);
    expect(ends).toEqual([]);
    await cluster.clock.advance(300);
    expect(ends).toEqual(["14 etcdserver: no leader", "14 etcdserver: no leader"]);
    expect(patient.isClosed).toBe(false);
    cluster.network.heal();
    await cluster.until(() => leader.running.raftStatus.leader !== 0n);
    expect(leader.running.id).toBe(id);
    expect(await client.errorOf(KV.method.range, { key: utf8("a") })).toBe("none");
    await cluster.stopAll();
  });

  test("lose nothing to an election that is short", async () => {
    const { cluster, leader, follower } = await healthyCluster();
    const client = new ClusterClient(cluster, follower);
    client.wantsLeader = true;
    const stream = client.stream(Lease.method.leaseKeepAlive, { ID: 7n });
    cluster.crash(leader);
    await cluster.untilLeader((machine) => machine !== leader);
    await cluster.clock.advance(10_000);
    expect(stream.isClosed).toBe(false);
    await cluster.stopAll();
  });
});

describe("a learner", () => {
  test("answers what it can alone, and refuses everything else", async () => {
    const { cluster, leader } = await healthyCluster();
    const learner = await cluster.add("m4", true, leader);
    await cluster.ready();
    const client = new ClusterClient(cluster, learner);
    const REFUSED = "9 etcdserver: rpc not supported for learner";
    const key = utf8("a");
    expect((await client.call(Maintenance.method.status)).isLearner).toBe(true);
    expect(await client.errorOf(KV.method.range, { key, serializable: true })).toBe("none");
    expect(await client.errorOf(KV.method.range, { key })).toBe(REFUSED);
    expect(await client.errorOf(KV.method.put, { key })).toBe(REFUSED);
    expect(await client.errorOf(memberList)).toBe(REFUSED);
    expect(await client.errorOf(Maintenance.method.hashKV)).toBe(REFUSED);
    expect(await client.errorOf(Health.method.check)).toBe(REFUSED);
    expect(await client.endOf(client.stream(Lease.method.leaseKeepAlive, { ID: 7n }))).toBe(REFUSED);
    expect(await client.endOf(client.stream(Health.method.watch, {}))).toBe(REFUSED);
    expect(await cluster.wait(client.endOf(client.stream(Maintenance.method.snapshot, {})))).toBe("end");
    await new ClusterClient(cluster, leader).call(memberPromote, { ID: learner.running.id });
    await cluster.until(() => !learner.running.isLearner);
    expect(await client.errorOf(KV.method.put, { key })).toBe("none");
    await cluster.stopAll();
  });
});

test("the leadership moves only from the leader, and only to a voter", async () => {
  const { cluster, leader, follower, atLeader, atFollower } = await healthyCluster();
  const { moveLeader } = Maintenance.method;
  expect(await atFollower.errorOf(moveLeader, { targetID: follower.running.id })).toBe("9 etcdserver: not leader");
  for (const targetID of [0n, 7n]) {
    expect(await atLeader.errorOf(moveLeader, { targetID })).toBe("9 etcdserver: bad leader transferee");
  }
  expect(await atLeader.errorOf(moveLeader, { targetID: leader.running.id })).toBe("none");
  expect(await atLeader.errorOf(moveLeader, { targetID: follower.running.id })).toBe("none");
  await cluster.untilLeader((machine) => machine === follower);
  await cluster.stopAll();
});
