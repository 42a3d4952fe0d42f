import { expect, test } from "bun:test";
import {
  varint64Size,
  varintSize,
  WIRE_BYTES,
  WIRE_VARINT,
  WireError,
  WireReader,
  wireTag,
  WireWriter,
  writeInt64,
  writeVarint,
  writeVarint64,
} from "../../src/base/varint.ts";
import { CLAMP_MAX } from "../../src/base/limits.ts";
import { utf8, utf8Text } from "../../src/base/bytes.ts";

const EDGES: number[] = [0, 1];
for (let bits = 7; bits <= 53; bits++) EDGES.push(2 ** bits - 1, Math.min(2 ** bits, CLAMP_MAX), 2 ** (bits - 1) + 5);

test("every safe integer at a size boundary is written in the size foretold and read back", () => {
  const target = new Uint8Array(16);
  for (const value of EDGES) {
    const end = writeVarint(target, 2, value);
    expect(end - 2).toBe(varintSize(value));
    const same = new Uint8Array(16);
    expect(writeVarint64(same, 2, BigInt(value))).toBe(end);
    expect(varint64Size(BigInt(value))).toBe(end - 2);
    expect(same.subarray(2, end)).toEqual(target.subarray(2, end));
    expect(new WireReader(target, 2, end).uint64()).toBe(value);
    expect(new WireReader(target, 2, end).int64()).toBe(value);
    expect(new WireReader(target, 2, end).exactInt64()).toBe(BigInt(value));
    expect(new WireReader(target, 2, end).exactUint64()).toBe(BigInt(value));
  }
});

test("bigints at every bit are written in the size foretold and read back", () => {
  const target = new Uint8Array(10);
  for (let bits = 0n; bits < 64n; bits++) {
    for (const value of [2n ** bits, 2n ** bits - 1n, 2n ** bits + 5n]) {
      const end = writeVarint64(target, 0, value);
      expect(end).toBe(varint64Size(value));
      expect(new WireReader(target, 0, end).exactUint64()).toBe(value);
      expect(new WireReader(target, 0, end).exactInt64()).toBe(BigInt.asIntN(64, value));
    }
  }
});

test("negative and huge 64-bit integers stay exact as bigint and are clamped as numbers", () => {
  const target = new Uint8Array(10);
  const table: [bigint, number][] = [
    [-1n, -1],
    [-5000000000n, -5000000000],
    [-(2n ** 53n - 1n), -CLAMP_MAX],
    [-(2n ** 53n), -CLAMP_MAX],
    [-(2n ** 63n), -CLAMP_MAX],
    [2n ** 53n, CLAMP_MAX],
    [2n ** 63n - 1n, CLAMP_MAX],
  ];
  for (const [value, clamped] of table) {
    const end = writeVarint64(target, 0, value);
    expect(end).toBe(varint64Size(value));
    expect(new WireReader(target, 0, end).exactInt64()).toBe(value);
    expect(new WireReader(target, 0, end).exactUint64()).toBe(BigInt.asUintN(64, value));
    expect(new WireReader(target, 0, end).int64()).toBe(clamped);
    expect(new WireReader(target, 0, end).uint64()).toBe(value < 0n ? CLAMP_MAX : clamped);
  }
  expect(writeInt64(target, 0, -1)).toBe(10);
  expect(new WireReader(target).int64()).toBe(-1);
  expect(new WireReader(target).int32()).toBe(-1);
  expect(new WireReader(target).uint32()).toBe(0xffffffff);
});

test("a message written field by field is read field by field, unknown fields and groups skipped", () => {
  const writer = new WireWriter(1);
  writer.bytesField(1, utf8("key"));
  writer.bytesField(2, utf8(""));
  writer.integerField(3, 0);
  writer.integerField(4, 300);
  writer.integer64Field(6, -7n);
  writer.boolField(7, true);
  writer.messageField(8, utf8(""));
  writer.raw(Uint8Array.from([0x4b, 0x08, 0x01, 0x53, 0x54, 0x4c])); // group 9 {1: 1, group 10 {}}
  writer.raw(Uint8Array.from([0x5d, 1, 2, 3, 4, 0x61, 1, 2, 3, 4, 5, 6, 7, 8])); // fixed32 11, fixed64 12
  writer.integerField(1000, 5);
  const reader = new WireReader(writer.finish());
  expect(reader.nextTag()).toBe(wireTag(1, WIRE_BYTES));
  expect(utf8Text(reader.view())).toBe("key");
  expect(reader.nextTag()).toBe(wireTag(4, WIRE_VARINT));
  expect(reader.uint64()).toBe(300);
  expect(reader.nextTag()).toBe(wireTag(6, WIRE_VARINT));
  expect(reader.exactInt64()).toBe(-7n);
  expect(reader.nextTag()).toBe(wireTag(7, WIRE_VARINT));
  expect(reader.bool()).toBe(true);
  expect(reader.nextTag()).toBe(wireTag(8, WIRE_BYTES));
  expect(reader.copy().length).toBe(0);
  for (let field = 9; field <= 12; field++) {
    if (field === 10) continue;
    const tag = reader.nextTag();
    expect(tag >>> 3).toBe(field);
    reader.skip(tag);
  }
  expect(reader.nextTag()).toBe(wireTag(1000, WIRE_VARINT));
  expect(reader.uint64()).toBe(5);
  expect(reader.nextTag()).toBe(0);
});

test("truncated, overlong and impossible input is a WireError", () => {
  const read = (bytes: number[]) => () => {
    const reader = new WireReader(Uint8Array.from(bytes));
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) reader.skip(tag);
  };
  expect(read([0x08])).toThrow(WireError);
  expect(read([0x08, 0x80])).toThrow(WireError);
  expect(read([0x0a, 0x02, 0x00])).toThrow(WireError);
  expect(read([0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])).toThrow(WireError);
  expect(read([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02])).toThrow(WireError);
  expect(read([0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])).toThrow(WireError);
  expect(read([0x00, 0x01])).toThrow(WireError);
  expect(read([0x80, 0x00, 0x01])).toThrow(WireError);
  expect(read([0x0b])).toThrow(WireError);
  expect(read([0x0c])).toThrow(WireError);
  expect(read([0x0e])).toThrow(WireError);
  expect(read([0x0d, 1, 2])).toThrow(WireError);
  expect(read(new Array(5000).fill(0x0b))).toThrow(WireError);
  expect(read([0x08, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00])).not.toThrow();
});
