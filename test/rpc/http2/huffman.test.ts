import { expect, test } from "bun:test";
import fc from "fast-check";
import { hex, utf8, utf8Text } from "../../../src/base/bytes.ts";
import {
  huffmanDecode,
  huffmanDecodedSizeMax,
  huffmanEncode,
  huffmanEncodedSize,
} from "../../../src/rpc/http2/huffman.ts";

function encode(bytes: Uint8Array): Uint8Array {
  const coded = new Uint8Array(huffmanEncodedSize(bytes));
  expect(huffmanEncode(bytes, coded, 0)).toBe(coded.length);
  return coded;
}

function decode(coded: Uint8Array): Uint8Array | undefined {
  const target = new Uint8Array(huffmanDecodedSizeMax(coded.length));
  const size = huffmanDecode(coded, 0, coded.length, target);
  return size < 0 ? undefined : target.slice(0, size);
}

test.each([
  ["www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"],
  ["no-cache", "a8eb10649cbf"],
  ["custom-key", "25a849e95ba97d7f"],
  ["custom-value", "25a849e95bb8e8b4bf"],
  ["302", "6402"],
  ["Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"],
])("the RFC's example %p is coded as %p", (text, coded) => {
  expect(hex(encode(utf8(text)))).toBe(coded);
  expect(utf8Text(decode(encode(utf8(text)))!)).toBe(text);
});

test("every byte string survives coding and decoding", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    expect(decode(encode(bytes))).toEqual(bytes);
  }));
});

test("padding that is too long or not all ones, and the end-of-string code, are invalid", () => {
  expect(decode(Uint8Array.of(0x1f))).toEqual(utf8("a"));
  expect(decode(Uint8Array.of(0x1f, 0xff))).toBeUndefined();
  expect(decode(Uint8Array.of(0x18))).toBeUndefined();
  expect(decode(Uint8Array.of(0xff, 0xff, 0xff, 0xff))).toBeUndefined();
});
