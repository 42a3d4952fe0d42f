/**
 * Random writes, compactions, watchers and slow clients against a naive model: every watcher must have seen exactly the
 * events that a list of all events gives it, in order, each once, revisions undivided; or been told of a compaction
 * that took the next one.
 */

import { expect, test } from "bun:test";
import { compareBytes, EMPTY_BYTES, latin1, utf8 } from "../../src/base/bytes.ts";
import { type Event, Event_EventType } from "../../src/gen/mvccpb/kv_pb.ts";
import { Client, World, type Write } from "./world.ts";

const SEEDS = 40;
const ACTIONS = 400;
const KEYS = ["a", "b", "ba", "c", "d"];
const ENDS = [EMPTY_BYTES, EMPTY_BYTES, Uint8Array.of(0), utf8("bb"), utf8("c"), utf8("z")];

interface Happened {
  readonly revision: number;
  readonly key: string;
  /** undefined: deleted. */
  readonly value: string | undefined;
  readonly previous: string | undefined;
}

interface Watched {
  readonly client: Client;
  readonly id: bigint;
  readonly key: Uint8Array;
  readonly end: Uint8Array;
  readonly start: number;
  readonly createdAt: number;
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
  readonly fragment: boolean;
  cancelled: boolean;
}

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b9) | 1;
  }
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}

/** Values are told apart by their beginning; their size exercises outboxes and large responses. */
function nameOf(value: Uint8Array): string {
  return `${latin1(value.subarray(0, 12))}/${value.length}`;
}

function run(seed: number): void {
  const random = new Random(seed);
  const world = new World();
  const history: Happened[] = [];
  const live = new Map<string, string>();
  const clients: Client[] = [];
  const watched: Watched[] = [];
  let nextId = 1n;
  // Runs differ in what they stress.
  const largePercent = random.pick([0, 2, 20]);
  const slowPercent = random.pick([0, 10, 60]);

  const write = () => {
    const writes: Write[] = [];
    const touched = new Set<string>();
    for (let i = random.below(3); i >= 0; i--) {
      const key = random.pick(KEYS);
      if (touched.has(key)) continue;
      touched.add(key);
      if (random.chance(25)) writes.push({ delete: key });
      else {
        const size = random.chance(largePercent) ? random.below(400_000) : random.below(30);
        writes.push({ put: key, value: `${world.store.revision + 1}.${i};`.padEnd(size, "x") });
      }
    }
    const events: Omit<Happened, "revision">[] = [];
    for (const each of writes) {
      const key = "put" in each ? each.put : each.delete;
      const previous = live.get(key);
      if ("put" in each) {
        live.set(key, nameOf(utf8(each.value!)));
        events.push({ key, value: nameOf(utf8(each.value!)), previous });
      } else if (live.delete(key)) events.push({ key, value: undefined, previous });
    }
    const revision = world.store.revision + (events.length > 0 ? 1 : 0);
    expect(world.write(...writes)).toBe(revision);
    for (const event of events) history.push({ revision, ...event });
  };

  const watch = () => {
    if (clients.length === 0 || (clients.length < 4 && random.chance(20))) {
      clients.push(world.client({ responseSizeMax: 530_000 }));
    }
    const client = random.pick(clients);
    const { revision } = world.store;
    const start = random.chance(40) ? 0 : Math.max(1, revision + 5 - random.below(revision + 10));
    const watcher: Watched = {
      client,
      id: nextId++,
      key: utf8(random.pick(KEYS)),
      end: random.pick(ENDS),
      start,
      createdAt: revision,
      prevKv: random.chance(30),
      noPut: random.chance(10),
      noDelete: random.chance(10),
      fragment: random.chance(40),
      cancelled: false,
    };
    if (watcher.end.length > 1 || watcher.end[0] > 0) { if (compareBytes(watcher.key, watcher.end) >= 0) return; }
    watched.push(watcher);
    client.stream.create({
      key: watcher.key,
      rangeEnd: watcher.end,
      startRevision: start,
      progressNotify: random.chance(20),
      noPut: watcher.noPut,
      noDelete: watcher.noDelete,
      prevKv: watcher.prevKv,
      watchId: watcher.id,
      fragment: watcher.fragment,
    });
  };

  for (let action = 0; action < ACTIONS; action++) {
    const dice = random.below(100);
    if (dice < 45) write();
    else if (dice < 60) watch();
    else if (dice < 80) {
      world.hub.step(random.below(30));
      if (random.chance(50)) world.hub.flush();
    } else if (dice < 88 && clients.length > 0) {
      const client = random.pick(clients);
      client.room = random.chance(slowPercent) ? random.below(4) : Infinity;
      client.drain();
    } else if (dice < 91 && watched.length > 0) {
      const watcher = random.pick(watched);
      watcher.cancelled = true;
      watcher.client.stream.cancel(watcher.id);
    } else if (dice < 94 && world.store.revision > 3) {
      const compactRevision = world.store.revision - random.below(20);
      if (compactRevision > world.store.compactRevision && compactRevision > 0) world.compact(compactRevision);
    } else if (dice < 97 && clients.length > 0) random.pick(clients).requestProgress();
    else world.hub.tick(action * 100_000);
  }
  for (const client of clients) client.resume();
  world.settle();
  for (const client of clients) client.resume();
  expect(world.hub.hasWork).toBe(false);
  expect(world.hub.slowWatcherCount).toBe(0);
  expect(world.hub.queuedSize).toBe(0);
  for (const watcher of watched) check(world, history, watcher);
  for (const client of clients) client.stream.close();
  expect(world.hub.watcherCount).toBe(0);
}

function check(world: World, history: readonly Happened[], watcher: Watched): void {
  const { client, id, start, end, key } = watcher;
  const from = start === 0 ? watcher.createdAt + 1 : start;
  const isWanted = (event: Happened) => {
    if (event.revision < from || (event.value === undefined ? watcher.noDelete : watcher.noPut)) return false;
    const bytes = utf8(event.key);
    if (end.length === 0) return compareBytes(bytes, key) === 0;
    return compareBytes(bytes, key) >= 0 && ((end.length === 1 && end[0] === 0) || compareBytes(bytes, end) < 0);
  };
  const wanted = history.filter(isWanted);

  const responses = client.responses.filter((response) => response.watchId === id);
  expect(responses[0].created).toBe(true);
  let position = 0;
  let revisionEnd = 0;
  let headerRevision = 0;
  let isFragment = false;
  let compactRevision = 0;
  for (const response of responses.slice(1)) {
    expect(compactRevision === 0 || watcher.cancelled).toBe(true);
    if (response.compactRevision > 0n) {
      compactRevision = Number(response.compactRevision);
      expect(response.canceled).toBe(true);
      expect(response.header!.revision).toBe(0n);
      isFragment = false;
      continue;
    }
    const revision = Number(response.header!.revision);
    expect(revision).toBeGreaterThanOrEqual(headerRevision);
    headerRevision = revision;
    if (response.events.length === 0) continue;
    const first = Number(response.events[0].kv!.modRevision);
    // A revision is divided only between the fragments of one response.
    if (isFragment) expect(first).toBeGreaterThanOrEqual(revisionEnd - 1);
    else expect(first).toBeGreaterThanOrEqual(revisionEnd);
    for (const event of response.events) checkEvent(world, watcher, event, wanted[position++]);
    revisionEnd = Number(response.events.at(-1)!.kv!.modRevision) + 1;
    expect(revision).toBeGreaterThanOrEqual(revisionEnd - 1);
    expect(response.fragment ? watcher.fragment : true).toBe(true);
    isFragment = response.fragment;
  }
  const isWhole = position === wanted.length || wanted[position].revision >= revisionEnd;
  if (compactRevision > 0) {
    // What is missing was lost to the compaction, or comes after it.
    expect(from).toBeLessThan(compactRevision);
    expect(revisionEnd).toBeLessThanOrEqual(compactRevision);
  } else if (!watcher.cancelled) {
    expect(position).toBe(wanted.length);
    expect(isWhole).toBe(true);
  }
}

function checkEvent(world: World, watcher: Watched, event: Event, expected: Happened | undefined): void {
  const isDelete = event.type === Event_EventType.DELETE;
  const kv = event.kv!;
  expect({
    revision: Number(kv.modRevision),
    key: latin1(kv.key),
    value: isDelete ? undefined : nameOf(kv.value),
  }).toEqual({ revision: expected!.revision, key: expected!.key, value: expected!.value });
  if (isDelete) expect([kv.createRevision, kv.version, kv.lease, kv.value.length]).toEqual([0n, 0n, 0n, 0]);
  const previous = event.prevKv === undefined ? undefined : nameOf(event.prevKv.value);
  if (!watcher.prevKv) expect(previous).toBeUndefined();
  else if (previous !== undefined || expected!.revision - 1 >= world.store.compactRevision) {
    expect(previous).toBe(expected!.previous);
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`every watcher sees what the model predicts, seed ${seed}`, () => run(seed));
}
