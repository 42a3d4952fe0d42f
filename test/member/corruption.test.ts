import { beforeEach, describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { AlarmRequestSchema, AlarmType } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import type { Keyspace } from "../../src/keyspace/mod.ts";
import {
  CorruptionChecks,
  CorruptionError,
  type CorruptionOptions,
  type KvHash,
  type PeerHashError,
} from "../../src/member/corruption.ts";
import type { KvHashSettle } from "../../src/member/kv_hash.ts";
import { Membership } from "../../src/membership/mod.ts";
import type { KeyValueHash } from "../../src/mvcc/mod.ts";
import { RecordingLog } from "../harness/recording_log.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

/** Member 1 is the one whose checks run; what it and the others answer is set by each test. */
let own: KvHash[];
let peers: Map<bigint, (revision: number) => KvHash | PeerHashError>;
let compactionHashes: KeyValueHash[];
let isLeader: boolean;
let isReadable: boolean;
let alarms: bigint[];
let clock: SimulatedClock;
let log: RecordingLog;

beforeEach(() => {
  own = [];
  peers = new Map();
  compactionHashes = [];
  isLeader = true;
  isReadable = true;
  alarms = [];
  clock = new SimulatedClock();
  log = new RecordingLog();
});

function at(revision: number, hash: number, compactRevision = 0, storeRevision = revision): KvHash {
  return { hash, hashRevision: revision, compactRevision, revision: storeRevision };
}

function checks(options: Partial<CorruptionOptions> = {}): CorruptionChecks {
  const membership = new Membership();
  for (const id of [1n, ...peers.keys()]) {
    membership.add({ id, name: `m${id}`, peerUrls: [`http://m${id}:2380`], clientUrls: [], isLearner: false });
  }
  return new CorruptionChecks({
    clock,
    log,
    keyspace: { store: { compactionHashes } } as unknown as Keyspace,
    membership,
    memberId: 1n,
    isLeader: () => isLeader,
    hashKv: (_revision, settle: KvHashSettle) => {
      const next = own.length > 1 ? own.shift()! : own[0];
      settle(next, next.revision, undefined);
    },
    askHashKv: (to, revision) => Promise.resolve(peers.get(to)!(revision)),
    linearizableRead: (read) => read(isReadable ? undefined : "timeout"),
    propose: (_operation, body, settle) => {
      const { memberID, alarm } = fromBinary(AlarmRequestSchema, body);
      expect(alarm).toBe(AlarmType.CORRUPT);
      alarms.push(memberID);
      settle(undefined, undefined);
    },
    timeoutMs: 7000,
    options: { checksAtStart: true, intervalMs: 0, compactionIntervalMs: 0, ...options },
  });
}

function hasLogged(text: string): boolean {
  return log.with(text).length > 0;
}

describe("before it serves, a member", () => {
  test("finds that the others hold the same", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, (revision) => (revision === 10 ? at(10, 5, 3, 12) : undefined));
    await checks().checkAtStart();
    expect(hasLogged("initial corruption checking passed; no corruption")).toBe(true);
  });

  test("refuses to serve what another holds differently", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => at(10, 6, 3)).set(3n, () => at(10, 5, 3));
    const failure = checks().checkAtStart();
    expect(failure).rejects.toThrow(CorruptionError);
    expect(failure).rejects.toThrow("1 found data inconsistency with peers");
  });

  test("takes no offence at who is behind, compacted, away, or of another cluster", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => "future_revision").set(3n, () => "compacted").set(4n, () => undefined);
    peers.set(5n, () => "cluster_id_mismatch").set(6n, () => at(10, 6, 4));
    await checks().checkAtStart();
    expect(hasLogged("cannot fetch hash from slow remote peer")).toBe(true);
    expect(hasLogged("found different compact revision values from remote peer")).toBe(true);
  });

  test("asks nobody where it is not asked to", async () => {
    peers.set(2n, () => {
      throw new Error("asked");
    });
    await checks({ checksAtStart: false }).checkAtStart();
    expect(log.lines).toEqual([]);
  });
});

describe("from time to time, a leader", () => {
  test("finds nothing wrong with members that agree, are behind, or have compacted less", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => at(10, 5, 3)).set(3n, () => "future_revision").set(4n, () => at(10, 9, 2));
    await checks().checkAll();
    expect(alarms).toEqual([]);
    expect(hasLogged("finished peer corruption check")).toBe(true);
  });

  test("does not compare where no key is alive: who remembers the hash from a compaction has another", async () => {
    own = [{ ...at(10, 5, 3), hasNoLiveKeys: true }];
    compactionHashes = own;
    peers.set(2n, () => at(10, 6, 3));
    await checks().checkAll();
    await checks().checkCompactions();
    await checks({ checksAtStart: true }).checkAtStart();
    expect(alarms).toEqual([]);
    expect(hasLogged("Skipped peer's hash")).toBe(true);
  });

  test.each([
    ["hashes differ", at(10, 6, 3), "same compact revision then hashes must match"],
    ["one is ahead of it", at(10, 5, 3, 11), "revision from follower must be less than or equal to leader's"],
    ["one has compacted more", at(10, 5, 4), "compact revision from follower must be less than or equal to leader's"],
  ])("raises the alarm where %s", async (_, answer, reason) => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => at(10, 5, 3)).set(3n, () => answer);
    await checks().checkAll();
    expect(alarms).toEqual([3n]);
    expect(hasLogged(reason)).toBe(true);
  });

  test("raises it for itself where its own hash changes, and for the first only of several", async () => {
    own = [at(10, 5, 3), at(10, 6, 3)];
    peers.set(2n, () => at(10, 7, 3));
    await checks().checkAll();
    expect(alarms).toEqual([1n]);
  });

  test("knows nothing where it may have been deposed meanwhile", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => at(10, 6, 3));
    isReadable = false;
    await checks().checkAll();
    expect(alarms).toEqual([]);
  });

  test("does so at its interval, and nobody else does", async () => {
    own = [at(10, 5, 3)];
    peers.set(2n, () => at(10, 6, 3));
    const running = checks({ intervalMs: 1000 });
    running.start();
    isLeader = false;
    await clock.advance(5000);
    expect(alarms).toEqual([]);
    isLeader = true;
    await clock.advance(2000);
    expect(alarms).toEqual([2n, 2n]);
    running.stop();
    await clock.advance(5000);
    expect(alarms).toEqual([2n, 2n]);
  });
});

describe("after compactions, a leader", () => {
  beforeEach(() => {
    compactionHashes = [at(5, 50, 0), at(8, 80, 5), at(10, 100, 8)];
  });

  const same = (revision: number) =>
    compactionHashes.map((hash) => ({ ...hash, revision: 20 }))
      .find(({ hashRevision }) => hashRevision === revision);

  test("compares the newest one, and not again", async () => {
    const asked: number[] = [];
    peers.set(2n, (revision) => {
      asked.push(revision);
      return same(revision);
    });
    const running = checks();
    await running.checkCompactions();
    await running.checkCompactions();
    expect(asked).toEqual([10]);
    expect(hasLogged("successfully checked hash on whole cluster")).toBe(true);
  });

  test("goes back to one that all members have", async () => {
    peers.set(2n, (revision) => (revision === 10 ? undefined : same(revision)));
    peers.set(3n, (revision) => (revision === 8 ? at(8, 1, 6) : same(revision)));
    const running = checks();
    await running.checkCompactions();
    expect(hasLogged("skipped revision in compaction hash check; was not able to check all peers")).toBe(true);
    expect(alarms).toEqual([]);
    expect(hasLogged("successfully checked hash on whole cluster")).toBe(true);
  });

  test("raises the alarm for those that differ from a majority", async () => {
    peers.set(2n, same).set(3n, () => at(10, 1, 8));
    await checks().checkCompactions();
    expect(alarms).toEqual([3n]);
  });

  test("raises it for itself where the others agree without it", async () => {
    peers.set(2n, () => at(10, 1, 8)).set(3n, () => at(10, 1, 8));
    await checks().checkCompactions();
    expect(alarms).toEqual([1n]);
  });

  test("raises it for all where nobody can tell who is wrong", async () => {
    peers.set(2n, () => at(10, 1, 8));
    await checks().checkCompactions();
    expect(alarms).toEqual([0n]);
  });

  test("that is alone compares nothing", async () => {
    const running = checks({ compactionIntervalMs: 1000 });
    running.start();
    await clock.advance(3000);
    running.stop();
    expect(alarms).toEqual([]);
  });
});
