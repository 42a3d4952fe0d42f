import { describe, expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { type AutoCompaction, autoCompaction, type CompactionRetention } from "../../src/member/auto_compaction.ts";
import { failed, type Outcome, succeeded } from "../../src/apply/mod.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { CompactionRequestSchema, KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { TestMember } from "../harness/member.ts";
import { RecordingLog } from "../harness/recording_log.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

class World {
  readonly clock = new SimulatedClock();
  readonly log = new RecordingLog();
  readonly #startMs = this.clock.nowMs;
  readonly #compaction: AutoCompaction;
  revision = 1;
  isLeader = true;
  /** What comes of the next proposals. */
  outcome: () => Outcome = () => succeeded(1);
  /** "revision at minute". */
  readonly compactions: string[] = [];

  constructor(retention: CompactionRetention) {
    this.#compaction = autoCompaction(retention, {
      clock: this.clock,
      log: this.log,
      isLeader: () => this.isLeader,
      revision: () => this.revision,
      propose: (_operation, body, settle) => {
        const { revision } = fromBinary(CompactionRequestSchema, body);
        this.compactions.push(`${revision} at ${(this.clock.nowMs - this.#startMs) / MINUTE_MS}`);
        settle(this.outcome(), undefined);
      },
    });
    this.#compaction.start();
  }

  stop(): void {
    this.#compaction.stop();
  }

  /** Lets minutes pass, in each of which the store comes to the next revision. */
  async minutes(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.clock.advance(MINUTE_MS);
      this.revision++;
    }
  }
}

describe("periodic", () => {
  test("with up to an hour: to what was noted a period ago, once a period, the first after one", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    await world.minutes(9);
    expect(world.compactions).toEqual([]);
    await world.minutes(25);
    expect(world.compactions).toEqual(["1 at 10", "9 at 20", "19 at 30"]);
  });

  test("with more: every hour, after the first whole period", async () => {
    const world = new World({ mode: "periodic", periodMs: 5 * HOUR_MS });
    await world.minutes(5 * 60 - 1);
    expect(world.compactions).toEqual([]);
    await world.minutes(3 * 60);
    expect(world.compactions).toEqual(["1 at 300", "54 at 360", "114 at 420"]);
  });

  test("looks again a tenth of an interval after one that failed", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    await world.minutes(9);
    world.outcome = () => failed("corrupt");
    await world.minutes(3);
    world.outcome = () => succeeded(1);
    await world.minutes(12);
    expect(world.compactions).toEqual(["1 at 10", "1 at 11", "1 at 12", "2 at 13", "12 at 23"]);
    expect(world.log.with("failed")[0].fields).toEqual({
      revision: 1,
      "compact-period": "10m0s",
      "retry-interval": "1m0s",
      error: "corrupt",
    });
  });

  test("one that somebody else did before is done", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    world.outcome = () => failed("compacted");
    await world.minutes(15);
    expect(world.compactions).toEqual(["1 at 10"]);
    expect(world.log.lines.map(({ message }) => message)).toEqual([
      "starting auto periodic compaction",
      "completed auto periodic compaction",
    ]);
    expect(world.log.lines[1].fields).toEqual({ revision: 1, "compact-period": "10m0s", took: "0s" });
  });

  test("does nothing where nothing was written since", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    world.revision = 7;
    await world.clock.advance(HOUR_MS);
    // What was noted at the start is older than the revisions written since.
    expect(world.compactions).toEqual(["1 at 10", "7 at 20"]);
  });

  test("pauses on a member that does not lead, and goes on noting", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    world.isLeader = false;
    await world.minutes(30);
    expect(world.compactions).toEqual([]);
    world.isLeader = true;
    await world.minutes(1);
    expect(world.compactions).toEqual(["20 at 31"]);
  });

  test("leaves no timer behind when it is stopped", async () => {
    const world = new World({ mode: "periodic", periodMs: 10 * MINUTE_MS });
    await world.minutes(15);
    world.stop();
    expect(world.clock.timerCount).toBe(0);
  });
});

describe("by revision", () => {
  test("keeps so many revisions, looking every five minutes", async () => {
    const world = new World({ mode: "revision", revisions: 7 });
    await world.minutes(17);
    // At minute 5 there is nothing that old.
    expect(world.compactions).toEqual(["3 at 10", "8 at 15"]);
    expect(world.log.lines[1]).toMatchObject({
      message: "completed auto revision compaction",
      fields: { revision: 3, "revision-compaction-retention": 7, took: "0s" },
    });
  });

  test("does nothing where nothing was written since, or on a member that does not lead", async () => {
    const world = new World({ mode: "revision", revisions: 1 });
    world.revision = 10;
    await world.clock.advance(11 * MINUTE_MS);
    expect(world.compactions).toEqual(["9 at 5"]);
    world.isLeader = false;
    await world.minutes(10);
    expect(world.compactions).toEqual(["9 at 5"]);
  });

  test("tries one that failed again", async () => {
    const world = new World({ mode: "revision", revisions: 1 });
    world.revision = 10;
    world.outcome = () => failed("corrupt");
    await world.clock.advance(11 * MINUTE_MS);
    expect(world.compactions).toEqual(["9 at 5", "9 at 10"]);
    expect(world.log.with("failed auto revision")).toHaveLength(2);
    world.stop();
    expect(world.clock.timerCount).toBe(0);
  });
});

test("a member compacts itself", async () => {
  const server = await TestMember.start({ member: { compactionRetention: { mode: "periodic", periodMs: 1000 } } });
  for (let i = 0; i < 5; i++) await server.call(KV.method.put, { key: utf8("a") });
  await server.clock.advance(1500);
  expect(server.member.keyspace.store.compactRevision).toBe(1);
  await server.clock.advance(1500);
  expect(server.member.keyspace.store.compactRevision).toBe(6);
  await server.stop();
  expect(server.clock.timerCount).toBe(0);
});
