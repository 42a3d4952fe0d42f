import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { concatBytes } from "../../../src/base/bytes.ts";
import type { HttpField } from "../../../src/io/net.ts";
import { HeaderTemplate, HpackEncoder } from "../../../src/rpc/http2/encoder.ts";
import { HpackDecoder } from "../../../src/rpc/http2/hpack.ts";
import { headerBlock } from "../peer.ts";

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function decode(decoder: HpackDecoder, block: Uint8Array): string[] {
  return decoder.decode(block, 0, block.length).fields.map((field) => `${field.name}: ${field.value}`);
}

const REQUESTS = [
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
  [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
  [
    ":method: GET",
    ":scheme: https",
    ":path: /index.html",
    ":authority: www.example.com",
    "custom-key: custom-value",
  ],
];
const RESPONSES = [
  [
    ":status: 302",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 307",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:21 GMT",
    "location: https://www.example.com",
  ],
  [
    ":status: 200",
    "cache-control: private",
    "date: Mon, 21 Oct 2013 20:13:22 GMT",
    "location: https://www.example.com",
    "content-encoding: gzip",
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
  ],
];

describe("RFC 7541, appendix C", () => {
  test.each([
    ["C.2.1", "400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key: custom-header", 55],
    ["C.2.2", "040c2f73616d706c652f70617468", ":path: /sample/path", 0],
    ["C.2.3", "100870617373776f726406736563726574", "password: secret", 0],
    ["C.2.4", "82", ":method: GET", 0],
  ])("%s: a single field", (_, block, field, tableSize) => {
    const decoder = new HpackDecoder(4096, 1 << 20);
    expect(decode(decoder, bytes(block))).toEqual([field]);
    expect(decoder.tableSize).toBe(tableSize);
  });

  test.each([
    ["C.3: requests without Huffman code", 4096, REQUESTS, [57, 110, 164], [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ]],
    ["C.4: requests with Huffman code", 4096, REQUESTS, [57, 110, 164], [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff",
      "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ]],
    ["C.5: responses without Huffman code, with eviction", 256, RESPONSES, [222, 222, 215], [
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ]],
    ["C.6: responses with Huffman code, with eviction", 256, RESPONSES, [222, 222, 215], [
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ]],
  ])("%s", (_, tableSizeMax, lists, tableSizes, blocks) => {
    const decoder = new HpackDecoder(tableSizeMax, 1 << 20);
    blocks.forEach((block, i) => {
      expect(decode(decoder, bytes(block))).toEqual(lists[i]);
      expect(decoder.tableSize).toBe(tableSizes[i]);
    });
  });
});

describe("the decoder", () => {
  test.each([
    ["index 0", "80"],
    ["an index beyond the tables", "be"],
    ["a table size update beyond the limit", "3fe23f"],
    ["a table size update after a field", "8220"],
    ["a truncated integer", "ff"],
    ["an integer too large", "ffffffffffff7f"],
    ["a truncated string", "00056162"],
    ["a string without length", "0001"],
    ["invalid Huffman code", "000161820000"],
  ])("refuses %s", (_, block) => {
    expect(() => decode(new HpackDecoder(4096, 1 << 20), bytes(block))).toThrow();
  });

  test("gives equal blocks one list as long as the table stays as it is", () => {
    const decoder = new HpackDecoder(4096, 1 << 20);
    decode(decoder, bytes("4001610162"));
    const block = bytes("be82");
    const first = decoder.decode(block, 0, 2);
    expect(decoder.decode(block, 0, 2)).toBe(first);
    expect(decode(decoder, block)).toEqual(["a: b", ":method: GET"]);
    // Another field moves into index 62, and the same bytes mean something else.
    decode(decoder, bytes("4001630164"));
    expect(decode(decoder, block)).toEqual(["c: d", ":method: GET"]);
  });

  test("keeps its table in order through growth and eviction", () => {
    const decoder = new HpackDecoder(4096, 1 << 20);
    for (let i = 0; i < 500; i++) {
      const value = String(i % 10);
      decode(decoder, concatBytes([Uint8Array.of(0x40, 1, 0x61, 1), Uint8Array.of(value.charCodeAt(0))]));
    }
    // 34 bytes an entry: 120 of them fit.
    expect(decoder.tableSize).toBe(120 * 34);
    expect(decode(decoder, Uint8Array.of(0x80 | 62))).toEqual(["a: 9"]);
    expect(decode(decoder, Uint8Array.of(0x80 | 65))).toEqual(["a: 6"]);
    expect(decode(decoder, Uint8Array.of(0xff, 62 + 119 - 127))).toEqual(["a: 0"]);
    expect(() => decode(decoder, Uint8Array.of(0xff, 62 + 120 - 127))).toThrow();
  });

  test("drops what exceeds the list's size but keeps the table right", () => {
    const decoder = new HpackDecoder(4096, 100);
    const block = bytes("400161016240016301644001650166");
    const list = decoder.decode(block, 0, block.length);
    expect(list.isTooLarge).toBe(true);
    expect(list.fields.length).toBe(2);
    expect(decode(decoder, Uint8Array.of(0x80 | 62))).toEqual(["e: f"]);
  });

  test.each([
    ["upper case in a name", [["Name", "x"]]],
    ["a space in a name", [["na me", "x"]]],
    ["an empty name", [["", "x"]]],
    ["a line break in a value", [["name", "x\ny"]]],
    ["a zero byte in a value", [["name", "x\0"]]],
    ["a value that ends in a space", [["name", "x "]]],
    ["an unknown pseudo header field", [[":odd", "x"]]],
    ["a response's pseudo header field", [[":status", "200"]]],
    ["a pseudo header field after a regular one", [["name", "x"], [":path", "/"]]],
    ["a repeated pseudo header field", [[":path", "/"], [":path", "/"]]],
    ["a connection-specific field", [["connection", "close"]]],
    ["te other than trailers", [["te", "gzip"]]],
    ["two lengths", [["content-length", "1"], ["content-length", "2"]]],
    ["a length that is no number", [["content-length", "+1"]]],
  ])("finds a flaw in %s", (_, fields) => {
    const block = headerBlock(fields as [string, string][]);
    expect(new HpackDecoder(4096, 1 << 20).decode(block, 0, block.length).flaw).not.toBe("");
  });
});

describe("the encoder", () => {
  test("sends a template's fields once and then refers to them", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096, 1 << 20);
    const headers = new HeaderTemplate([[":status", "200"], ["content-type", "application/grpc"]]);
    const trailers = new HeaderTemplate([["grpc-status", "0"]]);
    const sizes: number[] = [];
    for (let i = 0; i < 4; i++) {
      for (const template of [headers, trailers]) {
        const block = encoder.encodeTemplate(template);
        expect(decode(decoder, block)).toEqual(template.fields.map(([name, value]) => `${name}: ${value}`));
        sizes.push(block.length);
      }
    }
    expect(sizes).toEqual([19, 15, 2, 1, 2, 1, 2, 1]);
  });

  test("follows the client's table size, down to none and up again", () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder(4096, 1 << 20);
    const template = new HeaderTemplate([[":status", "200"], ["content-type", "application/grpc"], ["x", "y"]]);
    const fields = template.fields.map(([name, value]) => `${name}: ${value}`);
    for (const size of [4096, 100, 70, 0, 0, 60, 4096, 1 << 30]) {
      encoder.limitTable(size);
      for (let i = 0; i < 3; i++) expect(decode(decoder, encoder.encodeTemplate(template))).toEqual(fields);
      expect(decoder.tableSize).toBeLessThanOrEqual(Math.min(size, 4096));
    }
  });

  test("any fields survive encoding and decoding", () => {
    const text = fc.string({
      unit: fc.integer({ min: 0x61, max: 0x7a }).map((c) => String.fromCharCode(c)),
      minLength: 1,
      maxLength: 300,
    });
    fc.assert(fc.property(fc.array(fc.tuple(text, text), { maxLength: 10 }), (fields: HttpField[]) => {
      const decoder = new HpackDecoder(4096, 1 << 20);
      const encoder = new HpackEncoder();
      expect(decode(decoder, encoder.encode(fields))).toEqual(fields.map(([name, value]) => `${name}: ${value}`));
    }));
  });
});
