import { expect, test } from "bun:test";
import { RAFT_READS_MAX } from "../../src/base/limits.ts";
import { PendingReads } from "../../src/member/pending_reads.ts";

const A = 1n;
const B = 2n;

class World {
  /** Contexts of the questions sent. */
  readonly asked: Uint8Array[] = [];
  /** What became of each read, in the order of the answers. */
  readonly answers: string[] = [];
  readonly reads: PendingReads;
  #sequence = 2 ** 40;

  constructor() {
    this.reads = new PendingReads({
      nextId: () => ({ member: 0xabcd, sequence: ++this.#sequence }),
      readIndex: (context) => this.asked.push(context),
    });
  }

  add(name: string, nowMs = 0): void {
    this.reads.add((error) => this.answers.push(error === undefined ? name : `${name} ${error}`), nowMs);
  }
}

test("reads that wait share a round; those that come during it get the next one", () => {
  const world = new World();
  world.add("a");
  world.add("b");
  world.reads.ask(0, A);
  world.add("c");
  world.reads.ask(1, A);
  expect(world.asked).toHaveLength(1);
  world.reads.confirm({ context: world.asked[0], index: 5 });
  world.reads.release(4);
  expect(world.answers).toEqual([]);
  world.reads.ask(2, A);
  world.reads.release(5);
  expect(world.answers).toEqual(["a", "b"]);
  world.reads.confirm({ context: world.asked[1], index: 5 });
  world.reads.release(5);
  expect(world.answers).toEqual(["a", "b", "c"]);
  expect(world.reads.isEmpty).toBe(true);
});

test("any context of a round confirms it, once; those of others do not", () => {
  const world = new World();
  world.add("a");
  world.reads.ask(0, A);
  world.reads.ask(499, A);
  expect(world.asked).toHaveLength(1);
  world.reads.ask(500, A);
  world.reads.askAgain(501);
  expect(world.asked).toHaveLength(3);
  world.reads.confirm({ context: new Uint8Array(8), index: 1 });
  world.reads.confirm({ context: new Uint8Array(3), index: 1 });
  world.reads.release(9);
  expect(world.answers).toEqual([]);
  world.reads.confirm({ context: world.asked[0], index: 1 });
  world.add("b");
  world.reads.ask(502, A);
  world.reads.confirm({ context: world.asked[1], index: 2 });
  world.reads.release(9);
  expect(world.answers).toEqual(["a"]);
});

test("contexts are etcd's: the member, then the sequence, big-endian", () => {
  const world = new World();
  world.add("a");
  world.reads.ask(0, A);
  expect(world.asked[0].toHex()).toBe("abcd010000000001");
});

test("another leader fails the round that the one before was asked for, and is asked for the rest", () => {
  const world = new World();
  world.add("a");
  world.reads.ask(0, A);
  world.add("b");
  world.reads.ask(1, B);
  expect(world.answers).toEqual(["a leader_changed"]);
  world.reads.confirm({ context: world.asked[0], index: 1 });
  world.reads.release(9);
  expect(world.answers).toHaveLength(1);
  world.reads.confirm({ context: world.asked[1], index: 1 });
  world.reads.release(9);
  expect(world.answers).toEqual(["a leader_changed", "b"]);
});

test("a read is given up when its time is over, wherever it waits", () => {
  const world = new World();
  world.add("confirmed", 0);
  world.reads.ask(0, A);
  world.reads.confirm({ context: world.asked[0], index: 9 });
  world.add("asked", 10);
  world.reads.ask(10, A);
  world.add("waiting", 20);
  world.reads.expire(99, 100, () => "timeout");
  expect(world.answers).toEqual([]);
  for (const now of [100, 110, 120]) world.reads.expire(now, 100, () => "timeout");
  expect(world.answers).toEqual(["confirmed timeout", "asked timeout", "waiting timeout"]);
  expect(world.reads.isEmpty).toBe(true);
});

test("of more reads than there is room for none is taken in", () => {
  const world = new World();
  for (let i = 0; i < RAFT_READS_MAX; i++) world.add("a");
  world.add("b");
  expect(world.answers).toEqual(["b too_many_requests"]);
  world.reads.failAll("stopped");
  expect(world.answers).toHaveLength(RAFT_READS_MAX + 1);
});
