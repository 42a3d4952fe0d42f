/**
 * kill -9 at random moments. Each writer owns its keys and has one request under way per key set, so that after a
 * restart only two states are allowed: as last acknowledged, or as the request under way would have left it. Whichever is
 * found counts as acknowledged from then on: what was read once must not vanish either.
 */
import { bytes, CallError, Client, prefixEnd, text } from "../client.ts";
import { type Case, check, type Context, type Random } from "../context.ts";
import { delay, type Server } from "../server.ts";
import { Compare_CompareResult, Compare_CompareTarget, KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

const ROUNDS = 30;
const ROUNDS_LONG = 300;
/** A kill comes so long after the writers have begun, or, one time in START_KILL_ONE_IN, after the process has. */
const LOAD_MS_MAX = 400;
const START_MS_MAX = 400;
const START_KILL_ONE_IN = 6;
const LEASE_TTL = 3600n;
const OUT_OF_RANGE = 11;
const COMPACTION_DISTANCE = 2000n;

export const kill: Case = {
  name: "kill",
  about: "kill -9 under load, again and again: what was acknowledged is there, nothing is half applied",
  async run(context) {
    const server = context.server();
    const rounds = context.settings.rounds ?? (context.settings.isLong ? ROUNDS_LONG : ROUNDS);
    const ledger = new Ledger();
    const writers = makeWriters(context.random, new Historian(COMPACTION_DISTANCE));
    let startKills = 0;
    await server.start();
    for (let round = 1; round <= rounds; round++) {
      try {
        await killUnderLoad(context, server, writers, ledger, LOAD_MS_MAX);
        while (context.random.below(START_KILL_ONE_IN) === 0) {
          startKills++;
          server.spawn();
          await delay(context.random.below(START_MS_MAX));
          await server.stop("SIGKILL");
        }
        await server.start();
        await verify(server, writers, ledger);
      } catch (error) {
        throw new Error(`round ${round}, seed ${context.settings.seed}: ${(error as Error).message}`);
      }
    }
    const { adopted, dropped } = ledger;
    return `${rounds} kills under load and ${startKills} while starting, ${ledger.acknowledged} acknowledged writes; of ` +
      `${adopted + dropped} under way ${adopted} were there, whole; ${ledger.hashChecks} hashes equal; ` +
      `revision ${ledger.revision}`;
  },
};

/** What is known beyond single keys. */
export class Ledger {
  /** The highest that any answer carried. */
  revision = 0n;
  compacted = 0n;
  compactionUnderWay = 0n;
  acknowledged = 0;
  adopted = 0;
  dropped = 0;
  hashChecks = 0;
  hash: { revision: bigint; hash: number; compactRevision: bigint } | undefined;

  acknowledge(revision: bigint): void {
    this.acknowledged++;
    this.see(revision);
  }

  see(revision: bigint): void {
    if (revision > this.revision) this.revision = revision;
  }
}

/** What was asked for and not answered, and what it would leave behind. */
export interface Writer {
  readonly name: string;
  /** Sends one request and notes what was acknowledged. Throws when the connection is lost. */
  step(client: Client, ledger: Ledger): Promise<void>;
  /** After a restart: throws unless the state is as acknowledged, or as the lost request leaves it. */
  verify(client: Client, ledger: Ledger): Promise<void>;
}

export function makeWriters(random: Random, historian: Historian): Writer[] {
  const writers: Writer[] = [];
  for (let i = 0; i < 4; i++) writers.push(new SequenceWriter(`sequence-${i}`, random, 8, 200));
  writers.push(new SequenceWriter("large", random, 2, 120_000));
  for (let i = 0; i < 2; i++) writers.push(new TxnWriter(`txn-${i}`));
  for (let i = 0; i < 2; i++) writers.push(new LeaseWriter(`lease-${i}`, BigInt(i + 1) * 1_000_000n, random));
  writers.push(new DeleteWriter("delete"));
  writers.push(historian);
  return writers;
}

export async function killUnderLoad(
  context: Context,
  server: Server,
  writers: readonly Writer[],
  ledger: Ledger,
  loadMsMax: number,
): Promise<void> {
  const end = server.end;
  const failures: Error[] = [];
  const work = writers.map(async (writer) => {
    const client = await Client.open(server.port);
    try {
      while (!client.connection.isClosed) await writer.step(client, ledger);
    } catch (error) {
      // With the process gone every call is lost; any other answer is a fault of its own.
      if (!(error instanceof CallError && error.isLost)) failures.push(error as Error);
    } finally {
      client.close();
    }
  });
  await delay(20 + context.random.below(loadMsMax));
  server.signal("SIGKILL");
  await end;
  await Promise.all(work);
  if (failures.length > 0) throw failures[0];
}

export async function verify(server: Server, writers: readonly Writer[], ledger: Ledger): Promise<void> {
  const client = await Client.open(server.port);
  try {
    const before = ledger.revision;
    const { header } = await client.call(KV.method.range, { key: bytes("any") });
    check(header!.revision >= before, `the revision went back from ${before} to ${header!.revision}`);
    for (const writer of writers) await writer.verify(client, ledger);
    ledger.see(header!.revision);
  } finally {
    client.close();
  }
}

/** Puts increasing numbers to its keys in turn, one request at a time. */
class SequenceWriter implements Writer {
  readonly name: string;
  readonly #padding: string;
  readonly #random: Random;
  readonly #acknowledged: { number: number; revision: bigint }[];
  #underWay: { key: number; number: number } | undefined;
  #next = 1;

  constructor(name: string, random: Random, keyCount: number, size: number) {
    this.name = name;
    this.#random = random;
    this.#padding = "x".repeat(size);
    this.#acknowledged = Array.from({ length: keyCount }, () => ({ number: 0, revision: 0n }));
  }

  async step(client: Client, ledger: Ledger): Promise<void> {
    const key = this.#random.below(this.#acknowledged.length);
    const number = this.#next++;
    this.#underWay = { key, number };
    const { header } = await client.call(KV.method.put, {
      key: bytes(`${this.name}/${key}`),
      value: bytes(`${number} ${this.#padding}`),
    });
    this.#underWay = undefined;
    const last = this.#acknowledged[key]!;
    check(
      header!.revision > last.revision,
      `${this.name}/${key}: acknowledged at ${header!.revision} after ${last.revision}`,
    );
    this.#acknowledged[key] = { number, revision: header!.revision };
    ledger.acknowledge(header!.revision);
  }

  async verify(client: Client, ledger: Ledger): Promise<void> {
    const { kvs } = await client.call(KV.method.range, {
      key: bytes(`${this.name}/`),
      rangeEnd: prefixEnd(`${this.name}/`),
    });
    const found = new Map(kvs.map((kv) => [text(kv.key), kv]));
    for (const [key, last] of this.#acknowledged.entries()) {
      const name = `${this.name}/${key}`;
      const kv = found.get(name);
      const value = kv === undefined ? "" : text(kv.value);
      const number = kv === undefined ? 0 : parseInt(value);
      if (kv !== undefined) {
        check(value === `${number} ${this.#padding}`, `${name} is not whole: ${value.slice(0, 40)}`);
      }
      const isUnderWay = this.#underWay?.key === key && this.#underWay.number === number;
      const expected = isUnderWay ? `after ${last.revision}` : `at ${last.revision}`;
      const revision = kv?.modRevision ?? 0n;
      check(
        isUnderWay ? revision > last.revision : number === last.number && revision === last.revision,
        `${name} is ${number} at ${revision}, and ${last.number} was acknowledged ${expected}`,
      );
      if (this.#underWay?.key === key) isUnderWay ? ledger.adopted++ : ledger.dropped++;
      this.#acknowledged[key] = { number, revision };
    }
    this.#underWay = undefined;
  }
}

/** Several keys in one transaction: three get the same number, the fourth exists after even numbers only. */
class TxnWriter implements Writer {
  readonly name: string;
  #acknowledged = 0;
  #underWay = 0;

  constructor(name: string) {
    this.name = name;
  }

  async step(client: Client, ledger: Ledger): Promise<void> {
    const number = this.#acknowledged + 1;
    this.#underWay = number;
    const key = (part: string) => bytes(`${this.name}/${part}`);
    const put = (part: string) => ({
      request: { case: "requestPut" as const, value: { key: key(part), value: bytes(String(number)) } },
    });
    const { header, succeeded } = await client.call(KV.method.txn, {
      compare: [{
        key: key("a"),
        target: Compare_CompareTarget.VERSION,
        result: Compare_CompareResult.EQUAL,
        targetUnion: { case: "version", value: BigInt(this.#acknowledged) },
      }],
      success: [
        put("a"),
        number % 2 === 0 ? put("d") : { request: { case: "requestDeleteRange" as const, value: { key: key("d") } } },
        put("b"),
        put("c"),
      ],
    });
    check(succeeded, `${this.name}: the version of its key is not ${this.#acknowledged}`);
    this.#acknowledged = number;
    this.#underWay = 0;
    ledger.acknowledge(header!.revision);
  }

  async verify(client: Client, ledger: Ledger): Promise<void> {
    const { kvs } = await client.call(KV.method.range, {
      key: bytes(`${this.name}/`),
      rangeEnd: prefixEnd(`${this.name}/`),
    });
    const state = kvs.map((kv) => `${text(kv.key).at(-1)}=${text(kv.value)}@${kv.modRevision}`).join(" ");
    const number = kvs.length === 0 ? 0 : Number(text(kvs[0]!.value));
    const names = number === 0 ? "" : number % 2 === 0 ? "abcd" : "abc";
    const isWhole = kvs.map((kv) => text(kv.key).at(-1)).join("") === names &&
      kvs.every((kv) => text(kv.value) === String(number) && kv.modRevision === kvs[0]!.modRevision);
    check(isWhole, `${this.name}: half a transaction: ${state}`);
    const isUnderWay = this.#underWay !== 0 && number === this.#underWay;
    check(
      isUnderWay || number === this.#acknowledged,
      `${this.name}: ${this.#acknowledged} was acknowledged: ${state}`,
    );
    if (this.#underWay !== 0) isUnderWay ? ledger.adopted++ : ledger.dropped++;
    this.#acknowledged = number;
    this.#underWay = 0;
  }
}

/** Grants leases, attaches keys, revokes some of the leases. */
class LeaseWriter implements Writer {
  readonly name: string;
  readonly #random: Random;
  /** Granted leases, and whether their key has been put. */
  readonly #leases = new Map<bigint, boolean>();
  #underWay: { kind: "grant" | "put" | "revoke"; id: bigint } | undefined;
  #nextId: bigint;
  readonly #firstId: bigint;

  constructor(name: string, firstId: bigint, random: Random) {
    this.name = name;
    this.#random = random;
    this.#nextId = this.#firstId = firstId;
  }

  async step(client: Client, ledger: Ledger): Promise<void> {
    const id = this.#nextId++;
    this.#underWay = { kind: "grant", id };
    await client.call(Lease.method.leaseGrant, { ID: id, TTL: LEASE_TTL });
    this.#leases.set(id, false);
    ledger.acknowledged++;

    this.#underWay = { kind: "put", id };
    const { header } = await client.call(KV.method.put, { key: this.#key(id), value: bytes("leased"), lease: id });
    this.#leases.set(id, true);
    ledger.acknowledge(header!.revision);

    // About as many are revoked as are granted once there are some.
    if (this.#leases.size > 10) {
      const revoked = [...this.#leases.keys()][this.#random.below(this.#leases.size)]!;
      this.#underWay = { kind: "revoke", id: revoked };
      const answer = await client.call(Lease.method.leaseRevoke, { ID: revoked });
      this.#leases.delete(revoked);
      ledger.acknowledge(answer.header!.revision);
    }
    this.#underWay = undefined;
  }

  async verify(client: Client, ledger: Ledger): Promise<void> {
    const { leases } = await client.call(Lease.method.leaseLeases, {});
    const ids = new Set(
      leases.map(({ ID }) => ID).filter((id) => id >= this.#firstId && id < this.#firstId + 1_000_000n),
    );
    const { kvs } = await client.call(KV.method.range, {
      key: bytes(`${this.name}/`),
      rangeEnd: prefixEnd(`${this.name}/`),
    });
    const keys = new Map(kvs.map((kv) => [text(kv.key), kv.lease]));
    const { kind, id } = this.#underWay ?? { kind: undefined, id: 0n };
    if (kind !== undefined) {
      const hasTakenPlace = kind === "put" ? keys.has(text(this.#key(id))) : ids.has(id) === (kind === "grant");
      hasTakenPlace ? ledger.adopted++ : ledger.dropped++;
      if (hasTakenPlace && kind === "revoke") this.#leases.delete(id);
      else if (hasTakenPlace) this.#leases.set(id, kind === "put");
    }
    this.#underWay = undefined;

    for (const [lease, hasKey] of this.#leases) {
      check(ids.delete(lease), `${this.name}: lease ${lease} was granted and is gone`);
      const attached = keys.get(text(this.#key(lease)));
      keys.delete(text(this.#key(lease)));
      check(attached === (hasKey ? lease : undefined), `${this.name}: the key of lease ${lease} has lease ${attached}`);
    }
    check(ids.size === 0, `${this.name}: there are leases that were revoked or never granted: ${[...ids]}`);
    check(keys.size === 0, `${this.name}: there are keys of revoked leases: ${[...keys.keys()]}`);
    await this.#verifyAttachment(client);
  }

  /** The lease itself knows its keys again. */
  async #verifyAttachment(client: Client): Promise<void> {
    const [first] = this.#leases;
    if (first === undefined) return;
    const [id, hasKey] = first;
    const { keys, TTL, grantedTTL } = await client.call(Lease.method.leaseTimeToLive, { ID: id, keys: true });
    check(keys.length === (hasKey ? 1 : 0), `${this.name}: lease ${id} has ${keys.length} keys attached`);
    check(grantedTTL === LEASE_TTL && TTL > 0n, `${this.name}: lease ${id} has a TTL of ${TTL} of ${grantedTTL}`);
  }

  #key(id: bigint): Uint8Array {
    return bytes(`${this.name}/${id}`);
  }
}

const DELETED_KEYS = 20;

/** Puts twenty keys in one transaction and deletes them in one range. */
class DeleteWriter implements Writer {
  readonly name: string;
  #count = 0;
  #isUnderWay = false;

  constructor(name: string) {
    this.name = name;
  }

  async step(client: Client, ledger: Ledger): Promise<void> {
    this.#isUnderWay = true;
    if (this.#count === 0) {
      const success = Array.from({ length: DELETED_KEYS }, (_, i) => ({
        request: { case: "requestPut" as const, value: { key: bytes(`${this.name}/${i}`), value: bytes("doomed") } },
      }));
      const { header } = await client.call(KV.method.txn, { success });
      this.#count = DELETED_KEYS;
      ledger.acknowledge(header!.revision);
    } else {
      const { header, deleted } = await client.call(KV.method.deleteRange, {
        key: bytes(`${this.name}/`),
        rangeEnd: prefixEnd(`${this.name}/`),
      });
      check(deleted === BigInt(this.#count), `${this.name}: deleted ${deleted} of ${this.#count}`);
      this.#count = 0;
      ledger.acknowledge(header!.revision);
    }
    this.#isUnderWay = false;
  }

  async verify(client: Client, ledger: Ledger): Promise<void> {
    const { count } = await client.call(KV.method.range, {
      key: bytes(`${this.name}/`),
      rangeEnd: prefixEnd(`${this.name}/`),
      countOnly: true,
    });
    const wanted = this.#isUnderWay ? [0, DELETED_KEYS] : [this.#count];
    check(wanted.includes(Number(count)), `${this.name}: ${count} keys, and not ${wanted.join(" or ")}`);
    if (this.#isUnderWay) Number(count) === this.#count ? ledger.dropped++ : ledger.adopted++;
    this.#count = Number(count);
    this.#isUnderWay = false;
  }
}

/** Takes hashes of old revisions and gives up old history now and then. */
export class Historian implements Writer {
  readonly name = "history";
  readonly #distance: bigint;
  #compactions = 0;

  /** Keeps between once and twice so many revisions. */
  constructor(distance: bigint) {
    this.#distance = distance;
  }

  async step(client: Client, ledger: Ledger): Promise<void> {
    const { revision } = ledger;
    const { hash, compactRevision, hashRevision } = await client.call(Maintenance.method.hashKV, { revision });
    if (revision > 0n) ledger.hash = { revision: hashRevision, hash, compactRevision };
    const target = revision - this.#distance;
    if (target > ledger.compacted + this.#distance) {
      ledger.compactionUnderWay = target;
      // Every other one is answered before what it removes is gone.
      await client.call(KV.method.compact, { revision: target, physical: this.#compactions++ % 2 === 0 });
      ledger.compacted = target;
      ledger.compactionUnderWay = 0n;
    }
    await delay(20);
  }

  async verify(client: Client, ledger: Ledger): Promise<void> {
    const { hash } = ledger;
    if (hash === undefined) return;
    const found = await client.call(Maintenance.method.hashKV, { revision: hash.revision });
    const allowed = [ledger.compacted, ledger.compactionUnderWay].map((revision) => revision === 0n ? -1n : revision);
    check(
      allowed.includes(found.compactRevision),
      `the history is compacted at ${found.compactRevision}; ${ledger.compacted} was acknowledged`,
    );
    if (ledger.compactionUnderWay !== 0n && found.compactRevision === ledger.compactionUnderWay) {
      ledger.compacted = ledger.compactionUnderWay;
    }
    ledger.compactionUnderWay = 0n;
    if (found.compactRevision === hash.compactRevision) {
      ledger.hashChecks++;
      check(found.hash === hash.hash, `the hash at revision ${hash.revision} was ${hash.hash} and is ${found.hash}`);
    }
    if (ledger.compacted > 0n) await this.#verifyCompacted(client, ledger.compacted - 1n);
  }

  async #verifyCompacted(client: Client, revision: bigint): Promise<void> {
    const code = await client.call(KV.method.range, { key: bytes("any"), revision }).then(
      () => 0,
      (error: CallError) => error.code,
    );
    check(code === OUT_OF_RANGE, `a read at the compacted revision ${revision} has code ${code}`);
  }
}
