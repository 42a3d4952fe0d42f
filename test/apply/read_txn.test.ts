import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { type Outcome, readTxn, type Steps } from "../../src/apply/mod.ts";
import { concatBytes, utf8, utf8Text } from "../../src/base/bytes.ts";
import { TxnRequestSchema, TxnResponseSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { decodeTxnRequest, type Part } from "../../src/wire/mod.ts";
import { World } from "./world.ts";

/** More keys than one step visits. */
const KEY_COUNT = 20_000;

function worldOfManyKeys(): World {
  const world = new World();
  for (let i = 0; i < KEY_COUNT; i++) world.put(`key/${String(i).padStart(6, "0")}`, "before");
  return world;
}

/** All keys must be at version 1; then all keys, and the last one by itself. */
function request() {
  const all = { key: utf8("key/"), rangeEnd: utf8("key0") };
  const range = (value: object) => ({ request: { case: "requestRange" as const, value } });
  return decodeTxnRequest(toBinary(
    TxnRequestSchema,
    create(TxnRequestSchema, {
      compare: [{ ...all, target: 0, result: 0, targetUnion: { case: "version", value: 1n } }],
      success: [range({ ...all, limit: 2n }), range({ key: utf8(`key/${String(KEY_COUNT - 1).padStart(6, "0")}`) })],
    }),
  ));
}

/** Runs the steps, and `between` after each; returns the outcome and how many steps there were. */
function run(steps: Steps<Outcome>, between: () => void): { outcome: Outcome; stepCount: number } {
  for (let stepCount = 1;; stepCount++) {
    const step = steps.next();
    if (step.done === true) return { outcome: step.value, stepCount };
    between();
  }
}

function decode(parts: readonly Part[]) {
  return fromBinary(TxnResponseSchema, concatBytes(parts as Uint8Array[]));
}

describe("a transaction that only reads", () => {
  test("sees one revision, whatever is written between its steps", () => {
    const world = worldOfManyKeys();
    const { revision } = world.keyspace.store;
    const last = `key/${String(KEY_COUNT - 1).padStart(6, "0")}`;
    const { outcome, stepCount } = run(readTxn(world.keyspace, request()), () => void world.put(last, "after"));
    expect(stepCount).toBeGreaterThan(2);
    expect(outcome.revision).toBe(revision);
    const { succeeded, responses } = decode(outcome.body);
    expect(succeeded).toBe(true);
    const ranges = responses.map(({ response }) => response.case === "responseRange" ? response.value : undefined);
    expect(ranges.map((range) => Number(range!.header!.revision))).toEqual([revision, revision]);
    expect(Number(ranges[0]!.count)).toBe(KEY_COUNT);
    expect(utf8Text(ranges[1]!.kvs[0].value)).toBe("before");
  });

  test("fails as compacted when a compaction passes its revision between its steps", () => {
    const world = worldOfManyKeys();
    const { outcome } = run(readTxn(world.keyspace, request()), () => {
      world.put("other", "value");
      // Its deletions wait for the reader.
      world.keyspace.store.compact(world.keyspace.store.revision);
    });
    expect(outcome.error).toBe("compacted");
  });
});
