/**
 * One DeleteRange of very many keys. While it is applied, step by step, puts wait their turn behind it, and reads at the
 * revision before it, or at the newest complete one, are answered as ever. Killed in the middle, it is there or not.
 */
import { bytes, CallError, Client, encode, pathOf, prefixEnd } from "../client.ts";
import { Connection } from "../connection.ts";
import { type Case, check, type Context } from "../context.ts";
import { delay, type Server, within } from "../server.ts";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { WireReader } from "../../../src/base/varint.ts";
import { KV, type RangeRequestSchema } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Watch, WatchRequestSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";

const KEYS = 200_000;
const KEYS_LONG = 1_000_000;
/** As many as etcd lets into a transaction, less a few. */
const KEYS_PER_TXN = 100;
const LANES = 10;
/** Reads of a key beside it; a busy machine is allowed for, a deletion in one piece is not. */
const READ_MS_MAX = 100;
const READS_MIN = 5;
const TURN_MS_MAX = 200;
/** The kill comes so long after the request was sent. */
const KILL_MS_MAX = 80;
const WATCH_MS_MAX = 60_000;
/** Of WatchResponse. */
const EVENTS_FIELD = 11;

const DOOMED = { key: bytes("doomed/"), rangeEnd: prefixEnd("doomed/") };

export const bigDelete: Case = {
  name: "big_delete",
  about: "one DeleteRange of 200,000 keys: reads beside it go on, no turn is long; killed amid it, all or nothing",
  async run(context) {
    const keys = context.settings.isLong ? KEYS_LONG : KEYS;
    const server = context.server();
    await server.start();
    await load(server, keys);
    const survived = await killedAmid(context, server, keys);
    if (!survived) await load(server, keys);
    const turnBeforeMs = (await server.metrics())["keelson_loop_turn_longest_seconds"]! * 1000;
    const watcher = await DeletionWatcher.open(server.port);
    const { deleteMs, reads, longestPutMs } = await deleteBesideReads(server, keys);
    const watchedMs = await watcher.complete(keys);
    const turnMs = (await server.metrics())["keelson_loop_turn_longest_seconds"]! * 1000;
    check(turnMs < TURN_MS_MAX, `the longest turn was ${turnMs.toFixed(0)} ms, ${turnBeforeMs.toFixed(0)} before`);
    const texts = reads.map(({ name, count, longestMs }) => `${name} ${count}, longest ${longestMs.toFixed(0)} ms`);
    return `${keys} keys in ${deleteMs.toFixed(0)} ms; reads beside: ${texts.join("; ")}; longest put ` +
      `${longestPutMs.toFixed(0)} ms; all events after ${watchedMs.toFixed(0)} ms; longest turn ${
        turnMs.toFixed(0)
      } ms; ` +
      `killed amid another: ${survived ? "nothing" : "everything"} deleted`;
  },
};

async function load(server: Server, keys: number): Promise<void> {
  const client = await Client.open(server.port);
  let first = 0;
  const lane = async () => {
    while (first < keys) {
      const from = first;
      first += KEYS_PER_TXN;
      const success = Array.from({ length: KEYS_PER_TXN }, (_, i) => ({
        request: {
          case: "requestPut" as const,
          value: { key: bytes(`doomed/${String(from + i).padStart(8, "0")}`), value: bytes("a value") },
        },
      }));
      await client.call(KV.method.txn, { success });
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  await client.call(KV.method.put, { key: bytes("kept"), value: bytes("a value") });
  client.close();
}

/** True if the keys were all there after the restart, false if none was. */
async function killedAmid(context: Context, server: Server, keys: number): Promise<boolean> {
  const client = await Client.open(server.port);
  const deletion = client.call(KV.method.deleteRange, DOOMED).then(() => true, (error: CallError) => !error.isLost);
  await delay(context.random.below(KILL_MS_MAX));
  const end = server.stop("SIGKILL");
  const isAcknowledged = await deletion;
  await end;
  await server.start();
  const again = await Client.open(server.port);
  const { count } = await again.call(KV.method.range, { ...DOOMED, countOnly: true });
  again.close();
  check(
    count === 0n || (count === BigInt(keys) && !isAcknowledged),
    `${count} of ${keys} keys after a kill amid the deletion`,
  );
  return count > 0n;
}

interface Reads {
  readonly name: string;
  count: number;
  longestMs: number;
}

async function deleteBesideReads(server: Server, keys: number) {
  const client = await Client.open(server.port);
  const { header } = await client.call(KV.method.range, { key: bytes("kept") });
  const pinned = header!.revision;
  let isDone = false;
  /** Reads `wanted` keys again and again until the deletion is done. */
  const readOn = async (
    name: string,
    wanted: number,
    request: MessageInitShape<typeof RangeRequestSchema>,
  ): Promise<Reads> => {
    const reader = await Client.open(server.port);
    const reads: Reads = { name, count: 0, longestMs: 0 };
    while (!isDone) {
      const beganMs = performance.now();
      const answer = await reader.call(KV.method.range, request);
      reads.longestMs = Math.max(reads.longestMs, performance.now() - beganMs);
      const isBefore = answer.header!.revision === pinned || request.revision !== undefined;
      check(
        answer.kvs.length === (isBefore ? wanted : 0),
        `${name}: ${answer.kvs.length} keys at revision ${answer.header!.revision}`,
      );
      if (isBefore && wanted > 1) check(answer.count === BigInt(keys), `${name}: ${answer.count} keys of ${keys}`);
      if (!isDone) reads.count++;
      await delay(1);
    }
    reader.close();
    return reads;
  };
  const one = { key: bytes(`doomed/${String(keys >> 1).padStart(8, "0")}`) };
  const page = { ...DOOMED, limit: 10n };
  const reading = [
    readOn("pinned", 1, { ...one, revision: pinned, serializable: true }),
    readOn("serializable", 1, { ...one, serializable: true }),
    readOn("linearizable", 1, one),
    // Its count takes a walk over all that has been deleted: it may take about as long as the deletion.
    readOn("pinned page and count", 10, { ...page, revision: pinned }),
  ];
  let longestPutMs = 0;
  const putting = (async () => {
    const writer = await Client.open(server.port);
    // The first after the deletion began: those before would change the revision that readers compare with.
    await delay(5);
    while (!isDone) {
      const beganMs = performance.now();
      await writer.call(KV.method.put, { key: bytes("beside"), value: bytes("a value") });
      longestPutMs = Math.max(longestPutMs, performance.now() - beganMs);
    }
    writer.close();
  })();

  const beganMs = performance.now();
  const { deleted } = await client.call(KV.method.deleteRange, DOOMED);
  const deleteMs = performance.now() - beganMs;
  isDone = true;
  const reads = await Promise.all(reading);
  await putting;
  check(deleted === BigInt(keys), `${deleted} of ${keys} keys deleted`);
  const { count } = await client.call(KV.method.range, { ...DOOMED, countOnly: true });
  check(count === 0n, `${count} keys are left`);
  client.close();
  for (const { name, count, longestMs } of reads) {
    if (name.includes("count")) continue;
    const times = `the longest of ${count} reads took ${longestMs.toFixed(0)} of the ${deleteMs.toFixed(0)} ms`;
    check(count >= READS_MIN && longestMs < Math.max(READ_MS_MAX, deleteMs / 4), `${name}: ${times} of the deletion`);
  }
  return { deleteMs, reads, longestPutMs };
}

/** Counts the deletions it is told of. */
class DeletionWatcher {
  readonly #connection: Connection;
  readonly #beganMs = performance.now();
  #count = 0;

  static async open(port: number): Promise<DeletionWatcher> {
    return new DeletionWatcher(await Connection.open(port));
  }

  private constructor(connection: Connection) {
    this.#connection = connection;
    const stream = connection.open(pathOf(Watch.method.watch));
    stream.onMessage = (message) => this.#count += countEvents(message);
    stream.sendMessage(encode(WatchRequestSchema, {
      requestUnion: { case: "createRequest", value: { ...DOOMED, fragment: true } },
    }));
  }

  /** Milliseconds until all were told. */
  async complete(keys: number): Promise<number> {
    const poll = async () => {
      while (this.#count < keys && !this.#connection.isClosed) await delay(10);
    };
    await within(WATCH_MS_MAX, poll()).catch(() => {});
    check(this.#count === keys, `${this.#count} of ${keys} deletions were told to a watcher`);
    this.#connection.close();
    return performance.now() - this.#beganMs;
  }
}

/** Without decoding them, which would keep this process from measuring anything else meanwhile. */
function countEvents(response: Uint8Array): number {
  const reader = new WireReader(response);
  let count = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag >>> 3 === EVENTS_FIELD) count++;
    reader.skip(tag);
  }
  return count;
}
