import { expect, test } from "bun:test";
import { hex } from "../../src/base/bytes.ts";
import { WireError, WireWriter } from "../../src/base/varint.ts";
import { decodeLease, type LeaseRecord, writeLease } from "../../src/lease/mod.ts";

/** The second one comes from a database of etcd. */
const RECORDS: [bytes: string, record: LeaseRecord][] = [
  ["0801103c", { id: 1n, ttl: 60, remainingTtl: 0 }],
  ["0884c1e69bd6c0e8d93c1002", { id: 0x3cb3a2056379a084n, ttl: 2, remainingTtl: 0 }],
  ["08feffffffffffffffff011080b4c4c32118ac02", { id: -2n, ttl: 9_000_000_000, remainingTtl: 300 }],
];

test.each(RECORDS)("%s is what etcd saves", (bytes, record) => {
  const writer = new WireWriter();
  writeLease(writer, record);
  expect(hex(writer.finish())).toBe(bytes);
  expect(decodeLease(writer.finish())).toEqual(record);
});

test("fields may come in any order, among ones that nobody knows; without an id it is no lease", () => {
  expect(decodeLease(Uint8Array.of(0x20, 1, 0x10, 60, 0x08, 1))).toEqual({ id: 1n, ttl: 60, remainingTtl: 0 });
  expect(() => decodeLease(Uint8Array.of(0x10, 60))).toThrow(WireError);
  expect(() => decodeLease(Uint8Array.of(0x08))).toThrow(WireError);
});
