import { expect, test } from "bun:test";
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { utf8 } from "../../src/base/bytes.ts";

function bitwiseCrc32c(bytes: Uint8Array): number {
  let state = 0xffffffff;
  for (const byte of bytes) {
    state ^= byte;
    for (let bit = 0; bit < 8; bit++) state = state & 1 ? (state >>> 1) ^ 0x82f63b78 : state >>> 1;
  }
  return ~state >>> 0;
}

test("the check value of CRC-32C and RFC 3720's examples come out", () => {
  expect(updateCrc32c(0, utf8("123456789"))).toBe(0xe3069283);
  expect(updateCrc32c(0, new Uint8Array(32))).toBe(0x8a9136aa);
  expect(updateCrc32c(0, new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(updateCrc32c(0, Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  expect(updateCrc32c(0, new Uint8Array(0))).toBe(0);
});

test("any split of any range gives the checksum of the whole", () => {
  const bytes = Uint8Array.from({ length: 300 }, (_, i) => (i * 151 + (i >> 3)) & 0xff);
  for (let length = 0; length <= 70; length++) {
    for (const start of [0, 1, 7, 13]) {
      const end = start + length;
      const expected = bitwiseCrc32c(bytes.subarray(start, end));
      expect(updateCrc32c(0, bytes, start, end)).toBe(expected);
      const middle = start + (length * 5 >> 3);
      expect(updateCrc32c(updateCrc32c(0, bytes, start, middle), bytes, middle, end)).toBe(expected);
    }
  }
});

test("a long range gives the same wherever in its buffer it lies", () => {
  const buffer = Uint8Array.from({ length: 5000 }, (_, i) => (i * 151 + (i >> 3)) & 0xff).buffer;
  for (const offset of [0, 1, 2, 3, 5]) {
    const bytes = new Uint8Array(buffer, offset);
    for (const start of [0, 1, 6, 15]) {
      for (const length of [2047, 2048, 2049, 2063, 4101]) {
        const expected = bitwiseCrc32c(bytes.subarray(start, start + length));
        expect(updateCrc32c(0, bytes, start, start + length)).toBe(expected);
      }
    }
  }
});
