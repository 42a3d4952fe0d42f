import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { snapshotMethod } from "../../src/api/snapshot.ts";
import { SNAPSHOT_BLOCK_SIZE, SNAPSHOT_STALL_MS, SNAPSHOT_STREAMS_MAX } from "../../src/base/limits.ts";
import { type SnapshotResponse, SnapshotResponseSchema } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { silentLogger } from "../../src/io/log.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { type LocalStreamCall, startStream, type StreamMethod, wholeMessage } from "../../src/io/rpc_local.ts";
import { systemCrypto } from "../../src/io/system/mod.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

const CHUNK_SIZE = 32 * 1024;

/** A database whose bytes can be told from one another, and that knows what was read of it. */
class Database {
  readonly bytes: Uint8Array;
  opened = 0;
  closed = 0;
  readSize = 0;
  /** What `read` does instead. */
  failure: Error | undefined;

  constructor(size: number) {
    this.bytes = Uint8Array.from({ length: size }, (_, index) => index * 31 + (index >> 8));
  }

  async openSnapshot() {
    this.opened++;
    const { bytes } = this;
    return {
      size: bytes.length,
      revision: 5,
      index: 9,
      storageVersion: "3.7.0",
      read: async (target: Uint8Array, position: number) => {
        if (this.failure !== undefined) throw this.failure;
        const piece = bytes.subarray(position, position + target.length);
        target.set(piece);
        this.readSize += piece.length;
        return piece.length;
      },
      close: async () => void this.closed++,
    };
  }
}

function start(database: Database, clock = new SimulatedClock()) {
  const method = snapshotMethod(database, "/etcdserverpb.Maintenance/Snapshot", {
    clock,
    crypto: systemCrypto,
    log: silentLogger,
  }) as StreamMethod;
  return { clock, call: () => startStream(method, undefined) };
}

async function receiveAll(call: LocalStreamCall): Promise<SnapshotResponse[]> {
  const responses: SnapshotResponse[] = [];
  for (;;) {
    const message = await call.receive();
    if (message === undefined) return responses;
    responses.push(fromBinary(SnapshotResponseSchema, wholeMessage(message)));
  }
}

/** Lets everything run that waits for nothing but its turn. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("the file comes in chunks that say what remains, then its SHA-256, each with the version of the storage", async () => {
  const database = new Database(3 * SNAPSHOT_BLOCK_SIZE + 4096);
  const responses = await receiveAll(start(database).call());
  const digest = responses.pop()!;
  expect(Buffer.concat(responses.map((response) => response.blob)).equals(database.bytes)).toBe(true);
  let remaining = database.bytes.length;
  for (const { blob, remainingBytes, version } of responses) {
    remaining -= blob.length;
    expect([Number(remainingBytes), version]).toEqual([remaining, "3.7.0"]);
    expect(blob.length).toBe(remaining === 0 ? 4096 : CHUNK_SIZE);
  }
  expect(digest.blob).toEqual(new Uint8Array(createHash("sha256").update(database.bytes).digest()));
  expect([digest.remainingBytes, digest.version]).toEqual([0n, "3.7.0"]);
  expect([database.opened, database.closed]).toEqual([1, 1]);
});

test("what the client has not asked for is not read", async () => {
  const database = new Database(20 * SNAPSHOT_BLOCK_SIZE);
  const call = start(database).call();
  await settle();
  expect(database.readSize).toBeLessThan(10 * SNAPSHOT_BLOCK_SIZE);
  const responses = await receiveAll(call);
  expect(responses.reduce((size, response) => size + response.blob.length, 0)).toBe(database.bytes.length + 32);
});

test("a client that goes away lets go of the file", async () => {
  const database = new Database(20 * SNAPSHOT_BLOCK_SIZE);
  const call = start(database).call();
  await call.receive();
  call.cancel(new RpcError(Code.CANCELED, "context canceled"));
  await settle();
  expect(database.closed).toBe(1);
});

test("a client that takes nothing for long is told so, and the file is let go", async () => {
  const database = new Database(20 * SNAPSHOT_BLOCK_SIZE);
  const { call: open, clock } = start(database);
  const call = open();
  await settle();
  await clock.advance(SNAPSHOT_STALL_MS - 1);
  await settle();
  expect(database.closed).toBe(0);
  await clock.advance(1);
  await settle();
  expect(database.closed).toBe(1);
  await expect(receiveAll(call)).rejects.toMatchObject({ code: Code.UNAVAILABLE });
});

test("there is a bound on streams, and an ended one makes room", async () => {
  const database = new Database(20 * SNAPSHOT_BLOCK_SIZE);
  const { call: open } = start(database);
  const calls = Array.from({ length: SNAPSHOT_STREAMS_MAX }, open);
  await settle();
  await expect(receiveAll(open())).rejects.toMatchObject({ code: Code.RESOURCE_EXHAUSTED });
  calls[0].cancel(new RpcError(Code.CANCELED, "context canceled"));
  await settle();
  expect((await receiveAll(open())).length).toBeGreaterThan(1);
});

test("a file that cannot be read is an error, not an end", async () => {
  const database = new Database(SNAPSHOT_BLOCK_SIZE);
  database.failure = new Error("page 3: the checksum does not match");
  await expect(receiveAll(start(database).call())).rejects.toMatchObject({ message: database.failure.message });
  expect(database.closed).toBe(1);
});
