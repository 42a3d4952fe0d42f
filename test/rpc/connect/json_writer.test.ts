import {
  create,
  type DescMessage,
  fromJsonString,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { KeyValueSchema } from "../../../src/gen/mvccpb/kv_pb.ts";
import { CompareSchema, RangeResponseSchema, TxnRequestSchema } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { StatusResponseSchema } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { WatchCreateRequestSchema, WatchResponseSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";
import type { MessageBody } from "../../../src/io/rpc.ts";
import { jsonPieces, messageToJson } from "../../../src/rpc/connect/mod.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A body that is read in pieces of changing sizes. */
function bodyOf(message: Uint8Array): MessageBody {
  let offset = 0;
  let step = 0;
  return {
    size: message.length,
    read(target) {
      step = step % 7 + 1;
      const part = message.subarray(offset, offset + Math.min(target.length, step * step * 11));
      target.set(part);
      offset += part.length;
      return part.length;
    },
    close() {},
  };
}

/** What the three ways to JSON make of a message; the library's is the reference. */
function check<Desc extends DescMessage>(descriptor: Desc, init: MessageInitShape<Desc>): void {
  const message = create(descriptor, init);
  const wire = toBinary(descriptor, message);
  const expected = toJsonString(descriptor, message);
  expect(messageToJson(descriptor, wire, "json")).toBe(expected);
  expect([...jsonPieces(descriptor, bodyOf(wire), "json")].join("")).toBe(expected);
  const proto = messageToJson(descriptor, wire, "proto");
  expect([...jsonPieces(descriptor, bodyOf(wire), "proto")].join("")).toBe(proto);
  expect(toBinary(descriptor, fromJsonString(descriptor, proto))).toEqual(wire);
}

test("every kind of field is written as protobuf's own JSON", () => {
  check(RangeResponseSchema, {});
  check(KeyValueSchema, {
    key: bytes("k"),
    value: new Uint8Array([255, 0, 254]),
    lease: -1n,
    modRevision: 2n ** 63n - 1n,
  });
  check(KeyValueSchema, { createRevision: 2n ** 53n - 1n, version: -(2n ** 63n), lease: -(2n ** 53n) });
  check(StatusResponseSchema, {
    header: { clusterId: 2n ** 64n - 1n, memberId: 2n ** 53n, revision: 0n },
    errors: ['a "quoted" \\ \u0001 \u2028 é 😀', ""],
    version: "0",
    isLearner: true,
    downgradeInfo: {},
  });
  check(WatchResponseSchema, { events: [{}, { type: 1, kv: {}, prevKv: { key: bytes("p") } }], canceled: true });
  check(WatchCreateRequestSchema, { filters: [0, 1, 0], watchId: 5n });
  check(TxnRequestSchema, {
    compare: [{ result: 3, target: 4, targetUnion: { case: "lease", value: 0n }, rangeEnd: bytes("z") }, {}],
    success: [
      { request: { case: "requestTxn", value: { failure: [{}] } } },
      { request: { case: "requestPut", value: {} } },
    ],
  });
});

test("a long list is the same in one piece and in many", () => {
  const kvs = Array.from(
    { length: 3000 },
    (_, i) => ({ key: bytes(`key ${i}`), value: bytes("v".repeat(i % 97)), version: 1n }),
  );
  const wire = toBinary(
    RangeResponseSchema,
    create(RangeResponseSchema, { kvs, header: { revision: 7n }, count: 3000n }),
  );
  const pieces = [...jsonPieces(RangeResponseSchema, bodyOf(wire), "proto")];
  expect(pieces.length).toBeGreaterThan(3);
  expect(Math.max(...pieces.map((piece) => piece.length))).toBeLessThan(100_000);
  expect(pieces.join("")).toBe(messageToJson(RangeResponseSchema, wire, "proto"));
  const huge = toBinary(
    RangeResponseSchema,
    create(RangeResponseSchema, { kvs: [{ value: new Uint8Array(1_000_000) }] }),
  );
  expect([...jsonPieces(RangeResponseSchema, bodyOf(huge), "json")].join("")).toBe(
    messageToJson(RangeResponseSchema, huge, "json"),
  );
});

test("fields are printed in the order of their definition, the last of a repeated one counts, zeros and unknown ones are left out", () => {
  // version 4: 1, key 1: "a", version 4: 2, create_revision 2: 0, unknown 99.
  const wire = Uint8Array.of(0x20, 1, 0x0a, 1, 0x61, 0x20, 2, 0x10, 0, 0x98, 0x06, 1);
  expect(messageToJson(KeyValueSchema, wire, "proto")).toBe('{"key":"YQ==","version":"2"}');
  // An unknown number of an enum, and a zero in a oneof.
  expect(messageToJson(CompareSchema, Uint8Array.of(0x08, 9, 0x20, 0), "proto")).toBe('{"result":9,"version":"0"}');
});

test("a body that ends too early is an error, not an endless read", () => {
  const wire = toBinary(RangeResponseSchema, create(RangeResponseSchema, { kvs: [{ key: bytes("key") }] }));
  expect(() => [...jsonPieces(RangeResponseSchema, bodyOf(wire.subarray(0, wire.length - 1)), "json")]).toThrow();
});
