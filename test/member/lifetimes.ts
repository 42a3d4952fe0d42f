/**
 * One member over several lifetimes of its process, each ended by a kill or a power loss at a chosen operation of its
 * disk, under a random load. What clients were told must be true of the state that the next lifetime recovers: the state
 * after some number of the operations submitted, in their order, and no fewer than were acknowledged.
 *
 * Everything follows from the seed.
 */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Applier, finished, type Outcome } from "../../src/apply/mod.ts";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import type { ResponseHeader } from "../../src/gen/etcdserverpb/header_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { Keyspace } from "../../src/keyspace/mod.ts";
import { Membership } from "../../src/membership/mod.ts";
import { RecordView } from "../../src/mvcc/mod.ts";
import { silentLogger } from "../../src/io/log.ts";
import { readMeta, restoreState } from "../../src/member/restore.ts";
import { BoltDatabase } from "../../src/storage/bolt/mod.ts";
import { RaftOperation } from "../../src/wire/mod.ts";
import { TestMember } from "../harness/member.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";
import {
  type Fault,
  type Operation,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SimulatedRandom,
} from "../harness/simulated_disk.ts";

export type Phase = "first start" | "restart" | "run";

/** Where a lifetime ends. */
export interface End {
  /** Number of the disk's operation; Infinity: after all of the load. */
  readonly operation: number;
  /** A failed operation ends the lifetime only if the member gives up. */
  readonly fault: "crash-before" | "crash-after" | { readonly fail: string };
  readonly kind: "kill" | "power loss";
}

export interface LifetimesOptions {
  readonly seed: number;
  /** The end of the first lifetime; those of the later ones follow from the seed. */
  readonly firstEnd: End;
  readonly skipSync?: (operation: Operation, phase: Phase) => boolean;
  /** How many lifetimes before the last recovery. Default: 3. */
  readonly lifetimeCount?: number;
  /** Bytes that the disk has room for in the first lifetime. Default: no end. */
  readonly capacity?: number;
}

export interface LifetimesResult {
  /** What was found wrong; undefined: nothing. */
  readonly violation: string | undefined;
  /** Disk operations of the first lifetime. */
  readonly operationCount: number;
  readonly acknowledgedCount: number;
  /** Why the member of the first lifetime gave up, or did not start. */
  readonly failure: Error | undefined;
  /** What the disk of the first lifetime did, and how many operations until its member served. */
  readonly trace: readonly string[];
  readonly startOperationCount: number;
}

/** An operation of a client that goes through the log. */
interface Submitted {
  readonly operation: number;
  readonly body: Uint8Array;
  /** What the reference says about it: the header's revision and the error. */
  readonly expected: string;
  /** The state after it. */
  readonly state: string;
}

class Violation extends Error {}

function require(condition: boolean, message: () => string): void {
  if (!condition) throw new Violation(message());
}

/** A state machine without disk or log, given the same operations: what the member's state has to be. */
class Reference {
  readonly keyspace = new Keyspace({ electionTimeoutMs: 1000, revokeRetryMs: 7000, hashSeed: 0 });
  readonly #applier = new Applier(this.keyspace, new Membership());

  apply(operation: number, body: Uint8Array): Outcome {
    const requester = { username: "", authRevision: 0 };
    const context = { nowMs: 0, isWaitedFor: false, isReplay: true, requester };
    const outcome = finished(this.#applier.apply(operation, body, context));
    if (outcome.compaction !== undefined) { while (outcome.compaction.step(1000) !== "done"); }
    return outcome;
  }
}

/** All of a keyspace that clients can see, as text. */
function describeState({ store, lessor }: Keyspace): string {
  const lines = [`revision ${store.revision} compacted ${store.compactRevision}`];
  const job = store.openRange(ALL);
  if (typeof job === "string") throw new Violation(`the head cannot be read: ${job}`);
  while (job.step(1000) === "running");
  const record = new RecordView();
  for (let i = 0; i < job.rowCount; i++) {
    const key = store.key(job.row(i));
    store.readRecord(job.row(i), record);
    const { createRevision, modRevision, version, lease } = record;
    const attached = lessor.leaseOf(key);
    require(attached === lease, () => `a key of lease ${lease} is attached to lease ${attached}`);
    lines.push(
      [
        utf8Text(key),
        createRevision,
        modRevision,
        version,
        lease,
        record.value().length,
        updateCrc32c(0, record.value()),
      ].join(
        " ",
      ),
    );
  }
  job.close();
  const leases = [...lessor.records()].sort((a, b) => Number(a.id - b.id));
  for (const { id, ttl } of leases) lines.push(`lease ${id} ttl ${ttl}`);
  lines.push(`hash ${hashKv(store)}`);
  return lines.join("\n");
}

function hashKv(store: Keyspace["store"]): number {
  const job = store.hashKv(0);
  if (typeof job === "string") throw new Violation(`no hash: ${job}`);
  while (job.step(1000) !== "done");
  return job.result.hash;
}

/** What clients were told, over all lifetimes. */
class Model {
  reference = new Reference();
  submitted: Submitted[] = [];
  initialState = describeState(this.reference.keyspace);
  /** How many of the operations submitted are known to have been carried out: the acknowledged ones, in order. */
  acknowledgedCount = 0;
  /** The newest revision that any response or event told of. */
  seenRevision = 1n;
  seenTerm = 0n;
  /** Set once a member has answered anything: from then on there is a cluster that must not be forgotten. */
  identity: string | undefined;

  submit(operation: number, body: Uint8Array): number {
    const outcome = this.reference.apply(operation, body);
    const expected = outcome.error ?? `revision ${outcome.revision}`;
    this.submitted.push({ operation, body, expected, state: describeState(this.reference.keyspace) });
    return this.submitted.length - 1;
  }

  acknowledge(position: number, answer: string): void {
    const { expected } = this.submitted[position];
    require(answer === expected, () => `operation ${position} was answered ${answer}, not ${expected}`);
    require(position >= this.acknowledgedCount, () => `operation ${position} was answered after a later one`);
    this.acknowledgedCount = position + 1;
  }

  see(header: ResponseHeader): void {
    const { revision, raftTerm } = header;
    if (revision > this.seenRevision) this.seenRevision = revision;
    require(raftTerm >= this.seenTerm, () => `term ${raftTerm} after term ${this.seenTerm}`);
    this.seenTerm = raftTerm;
  }

  /** After how many operations a state was found, at least `least`; or says that it is none of them. */
  positionOf(state: string, least: number): number {
    const stateAfter = (count: number) => count === 0 ? this.initialState : this.submitted[count - 1].state;
    let count = least;
    while (count <= this.submitted.length && stateAfter(count) !== state) count++;
    require(
      count <= this.submitted.length,
      () => `found\n${state}\nacknowledged were ${least} of ${this.submitted.length} operations:\n${stateAfter(least)}`,
    );
    return count;
  }

  /** Takes a recovered state for what it is, or says what is wrong with it. */
  recover({ member }: TestMember): void {
    const count = this.positionOf(describeState(member.keyspace), this.acknowledgedCount);
    const revision = member.keyspace.store.revision;
    require(revision >= this.seenRevision, () => `revision ${revision} after ${this.seenRevision} was seen`);
    require(member.raftTerm > this.seenTerm, () => `term ${member.raftTerm} after ${this.seenTerm} was seen`);
    const identity = `${member.id} in ${member.clusterId}: ${member.membership.list().map(({ name }) => name)}`;
    require(this.identity === undefined || this.identity === identity, () => `${this.identity} became ${identity}`);
    this.identity = identity;
    this.submitted.length = count;
    this.acknowledgedCount = count;
    this.reference = new Reference();
    for (const { operation, body } of this.submitted) this.reference.apply(operation, body);
  }
}

/** Runs the lifetimes and a last recovery from what is durable. */
export async function runLifetimes(options: LifetimesOptions): Promise<LifetimesResult> {
  const { seed, lifetimeCount = 3 } = options;
  const random = new SimulatedRandom(seed);
  const model = new Model();
  let end = options.firstEnd;
  let phase: Phase = "first start";
  let clock = new SimulatedClock();
  const diskOptions = (): SimulatedDiskOptions => {
    const { operation, fault } = end;
    const latencies = new SimulatedRandom(random.below(2 ** 31));
    const diskClock = clock = new SimulatedClock();
    return {
      seed: random.below(2 ** 31),
      fault: ({ number }: Operation): Fault | undefined => number === operation ? fault : undefined,
      skipSync: (operation: Operation) => options.skipSync?.(operation, phase) ?? false,
      // From none to a few turns of the member's loop.
      latency: async () => {
        for (let turns = latencies.below(4); turns > 0; turns--) {
          await new Promise<void>((resolve) => diskClock.defer(resolve));
        }
      },
    };
  };
  let disk = new SimulatedDisk(diskOptions());
  disk.capacity = options.capacity ?? Infinity;
  const first = disk;
  let failure: Error | undefined;
  let startOperationCount = 0;
  const onStarted = (): void => {
    if (disk === first) startOperationCount = disk.operationCount;
    phase = "run";
  };
  for (let lifetime = 0;; lifetime++) {
    const isLast = lifetime === lifetimeCount;
    phase = lifetime === 0 ? "first start" : "restart";
    const life = live(disk, clock, model, random, isLast, onStarted);
    const mayFail = lifetime === 0 && (options.capacity !== undefined || typeof end.fault === "object");
    let violation: string | undefined;
    try {
      await clock.run(Promise.race([disk.crashed, life]));
    } catch (error) {
      if (mayFail && !(error instanceof Violation)) failure = error as Error;
      else violation = String(error);
    }
    if (violation !== undefined || isLast) {
      const { operationCount, trace } = first;
      const { acknowledgedCount } = model;
      return { violation, operationCount, acknowledgedCount, failure, trace, startOperationCount };
    }
    const { kind } = end;
    end = {
      operation: 1 + random.below(150),
      fault: random.chance(0.5) ? "crash-before" : "crash-after",
      kind: random.chance(0.4) ? "kill" : "power loss",
    };
    // The last recovery is from what is durable, and nothing else, and it is not disturbed.
    if (lifetime === lifetimeCount - 1) {
      end = { ...end, operation: Infinity };
      disk = disk.crash(diskOptions(), 0);
    } else disk = kind === "kill" ? disk.kill(diskOptions()) : disk.crash(diskOptions());
  }
}

async function live(
  disk: SimulatedDisk,
  clock: SimulatedClock,
  model: Model,
  random: SimulatedRandom,
  isLast: boolean,
  onStarted: () => void,
): Promise<void> {
  const server = await TestMember.begin({ disk, clock, seed: random.below(1000), member: SMALL });
  onStarted();
  model.recover(server);
  if (isLast) return;
  void watchAll(server, model);
  const calls: Promise<void>[] = [];
  const maintenance: Promise<void>[] = [];
  for (let wave = 0; wave < 8; wave++) {
    for (let count = 1 + random.below(5); count > 0; count--) {
      calls.push(random.chance(0.15) ? read(server, model) : submit(server, model, random));
    }
    if (random.chance(0.1)) maintenance.push(tolerant(server.member.defragment()));
    if (random.chance(0.1)) maintenance.push(tolerant(readSnapshot(server, model)));
    for (let turns = random.below(12); turns > 0; turns--) await new Promise<void>((resolve) => clock.defer(resolve));
  }
  const all = Promise.all(calls);
  await Promise.race([all, server.failure]);
  if (server.fatal.length > 0) return await giveUp(server, all, clock);
  await Promise.race([Promise.all(maintenance), server.failure]);
  if (server.fatal.length > 0) throw server.fatal[0];
  const state = describeState(server.member.keyspace);
  const expected = model.submitted.at(-1)?.state ?? model.initialState;
  require(withoutHash(state) === withoutHash(expected), () => `holds\n${state}\nnot\n${expected}`);
}

/** After a failure nothing more may be acknowledged, whatever time passes. Throws the failure. */
async function giveUp(server: TestMember, calls: Promise<unknown>, clock: SimulatedClock): Promise<never> {
  let isAnswered = false;
  const late = server.startCall(KV.method.put, { key: keyOf(0) }).response;
  for (const promise of [calls, late]) promise.then(() => isAnswered = true, () => isAnswered = true);
  for (let turns = 0; turns < 20; turns++) await new Promise<void>((resolve) => clock.defer(resolve));
  require(!isAnswered, () => "a call was answered after the member had given up");
  require(server.fatal.length === 1, () => `the member gave up ${server.fatal.length} times`);
  throw server.fatal[0];
}

/** A running member answers HashKV at a compacted revision from what it computed then; a restarted one forgot. */
function withoutHash(state: string): string {
  return state.slice(0, state.lastIndexOf("\n"));
}

/** Follows all keys, until the lifetime ends. */
async function watchAll(server: TestMember, model: Model): Promise<void> {
  const stream = server.stream(Watch.method.watch);
  stream.send({ requestUnion: { case: "createRequest", value: { key: NUL, rangeEnd: NUL } } });
  for (let response = await stream.receive(); response !== undefined; response = await stream.receive()) {
    model.see(response.header!);
  }
}

/** So small that a few operations are worth a checkpoint, and every other one fills a segment. */
const SMALL = { snapshotCount: 5, checkpointLogSize: 1, walSegmentSize: 4096, walsMax: 1, snapshotsMax: 1 };

/** A database that cannot be written is told to who asked for it; the member goes on. */
async function tolerant(action: Promise<void>): Promise<void> {
  try {
    await action;
  } catch (error) {
    if (error instanceof Violation) throw error;
  }
}

/** A snapshot holds all that was acknowledged before it was asked for, and is a database without fault. */
async function readSnapshot(server: TestMember, model: Model): Promise<void> {
  const least = model.acknowledgedCount;
  const snapshot = await server.member.openSnapshot();
  const bytes = new Uint8Array(snapshot.size);
  for (let position = 0; position < bytes.length;) {
    await new Promise<void>((resolve) => server.clock.defer(resolve));
    position += await snapshot.read(bytes.subarray(position, position + 5000), position);
  }
  await snapshot.close();
  const disk = new SimulatedDisk({ seed: 1 });
  disk.place("db", bytes);
  const database = await BoltDatabase.open(await disk.open("db"));
  const problems = await database.check();
  require(problems.length === 0, () => `the snapshot is no good database: ${problems}`);
  const { keyspace } = new Reference();
  const restored = await restoreState(database, await readMeta(database), {
    keyspace,
    membership: new Membership(),
    log: silentLogger,
  });
  while (restored.compaction !== undefined && restored.compaction.step(1000) !== "done");
  const count = model.positionOf(describeState(keyspace), least);
  require(keyspace.store.revision === snapshot.revision, () => `the snapshot after ${count} says another revision`);
}

async function read(server: TestMember, model: Model): Promise<void> {
  const seenBefore = model.seenRevision;
  const { header } = await server.startCall(KV.method.range, { key: NUL, rangeEnd: NUL }).response;
  require(header!.revision >= seenBefore, () => `read revision ${header!.revision} after ${seenBefore}`);
  model.see(header!);
}

async function submit(server: TestMember, model: Model, random: SimulatedRandom): Promise<void> {
  const { method, operation, message } = randomRequest(random, model.reference.keyspace);
  const position = model.submit(operation, toBinary(method.input, message));
  let answer: string;
  try {
    const { header } = await server.startCall(method, message).response as unknown as { header: ResponseHeader };
    model.see(header);
    answer = `revision ${header.revision}`;
  } catch (error) {
    answer = ERRORS[(error as Error).message] ?? String(error);
  }
  model.acknowledge(position, answer);
}

interface Request {
  readonly method: DescMethodUnary;
  readonly operation: number;
  readonly message: Message;
}

function request<Input extends DescMessage>(
  method: DescMethodUnary<Input>,
  operation: number,
  message: MessageInitShape<Input>,
): Request {
  return { method, operation, message: create(method.input, message) };
}

/** None is refused before it reaches the log; some fail when applied. */
function randomRequest(random: SimulatedRandom, { store, lessor }: Keyspace): Request {
  const choice = random.below(100);
  if (choice < 45) return request(KV.method.put, RaftOperation.PUT, randomPut(random, randomKey(random)));
  if (choice < 70) return randomTxn(random);
  if (choice < 80) {
    const range = { key: randomKey(random), rangeEnd: random.chance(0.5) ? utf8("k9") : randomKey(random) };
    return request(KV.method.deleteRange, RaftOperation.DELETE_RANGE, range);
  }
  const ID = BigInt(1 + random.below(4));
  if (choice < 89) return request(Lease.method.leaseGrant, RaftOperation.LEASE_GRANT, { ID, TTL: 60n + ID });
  if (choice < 94 && lessor.leaseCount > 0) {
    return request(Lease.method.leaseRevoke, RaftOperation.LEASE_REVOKE, { ID });
  }
  const revision = BigInt(store.revision - random.below(8) + 1);
  return request(KV.method.compact, RaftOperation.COMPACTION, { revision: revision < 1n ? 1n : revision });
}

/** Several writes that must come together or not at all. */
function randomTxn(random: SimulatedRandom): Request {
  const first = random.below(KEY_COUNT);
  const put = (offset: number) => ({ case: "requestPut", value: randomPut(random, keyOf(first + offset)) }) as const;
  const remove = (offset: number) => ({ case: "requestDeleteRange", value: { key: keyOf(first + offset) } }) as const;
  return request(KV.method.txn, RaftOperation.TXN, {
    compare: [{ key: randomKey(random), target: 0, result: 1, targetUnion: { case: "version", value: 1n } }],
    success: [{ request: put(0) }, { request: remove(1) }, { request: put(2) }],
    failure: [{ request: put(0) }, { request: put(1) }, { request: put(3) }, { request: remove(4) }],
  });
}

function randomPut(random: SimulatedRandom, key: Uint8Array): { key: Uint8Array; value: Uint8Array; lease: bigint } {
  const value = new Uint8Array(random.chance(0.15) ? 2500 : random.below(200));
  // Without zero bytes: a sector of zeros inside a value is the one thing that looks like a torn write.
  for (let i = 0; i < value.length; i++) value[i] = 1 + random.below(255);
  return { key, value, lease: random.chance(0.2) ? BigInt(1 + random.below(4)) : 0n };
}

const KEY_COUNT = 12;

function keyOf(number: number): Uint8Array {
  return utf8(`k${(number % KEY_COUNT).toString().padStart(2, "0")}`);
}

function randomKey(random: SimulatedRandom): Uint8Array {
  return keyOf(random.below(KEY_COUNT));
}

const ERRORS: Readonly<Record<string, string>> = {
  "etcdserver: requested lease not found": "lease_not_found",
  "etcdserver: lease already exists": "lease_exists",
  "etcdserver: mvcc: required revision has been compacted": "compacted",
  "etcdserver: mvcc: required revision is a future revision": "future_revision",
};

const NUL = Uint8Array.of(0);

const ALL = {
  key: NUL,
  rangeEnd: NUL,
  revision: 0,
  limit: 0,
  sortOrder: 0,
  sortTarget: 0,
  keysOnly: false,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};
