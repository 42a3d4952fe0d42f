import { expect, test } from "bun:test";
import { concatBytes, hex, utf8 } from "../../../src/base/bytes.ts";
import { PEER_SNAPSHOT_HEAD_SIZE_MAX } from "../../../src/base/limits.ts";
import { WireWriter } from "../../../src/base/varint.ts";
import { CodecError, SnapshotBodyDecoder, writeSnapshotHead } from "../../../src/peer/codec/mod.ts";
import type { Message } from "../../../src/raft/mod.ts";
import { ETCD_VERSIONS, LOCAL, message, MESSAGES, readGolden, REMOTE, SNAPSHOTS, text } from "./messages.ts";

const DATABASE = utf8("the database, which may be long");

function encode(message: Message): Uint8Array {
  const writer = new WireWriter(1);
  writeSnapshotHead(writer, message);
  return writer.finish();
}

/** The message and the database of a body that comes in chunks of `size`. */
function decode(body: Uint8Array, size: number): { message: Message | undefined; database: Uint8Array } {
  const decoder = new SnapshotBodyDecoder();
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.slice(at, at + size);
    pieces.push(decoder.push(chunk).slice());
    chunk.fill(0xee);
  }
  return { message: decoder.message, database: concatBytes(pieces) };
}

for (const version of ETCD_VERSIONS) {
  test(`a snapshot of etcd ${version} is told from its database, however it is cut`, async () => {
    const golden = await readGolden(version);
    for (const [name, expected] of Object.entries(SNAPSHOTS)) {
      const body = concatBytes([golden.get(name)!, DATABASE]);
      for (let size = 1; size <= body.length; size++) {
        const { message, database } = decode(body, size);
        expect(text(message!)).toBe(text(expected));
        expect(hex(database)).toBe(hex(DATABASE));
      }
    }
  });
}

test("what is written is what etcd 3.7 writes, byte for byte", async () => {
  const golden = await readGolden("3.7.1");
  for (const [name, message] of Object.entries(SNAPSHOTS)) expect(hex(encode(message))).toBe(hex(golden.get(name)!));
});

test("ids may be packed", () => {
  const head = "08 07 10 01 18 02 20 08 4a 0f 12 0d 0a 07 0a 02 01 02 12 01 03 10 05 18 04".replaceAll(" ", "");
  const body = Uint8Array.fromHex(`0000000000000019${head}`);
  const { snapshot } = decode(body, 100).message!;
  expect(snapshot!.confState.voters).toEqual([1n, 2n]);
  expect(snapshot!.confState.learners).toEqual([3n]);
  expect(snapshot!.index).toBe(5);
});

test("a body without a whole message has neither message nor database", () => {
  const head = encode(SNAPSHOTS.snapshot);
  for (let size = 0; size < head.length; size++) {
    const { message, database } = decode(head.slice(0, size), 5);
    expect(message).toBeUndefined();
    expect(database.length).toBe(0);
  }
});

test("a body of something else is refused", () => {
  const heads: [head: string, error: string][] = [
    ["ffffffffffffffff", "too large"],
    [(PEER_SNAPSHOT_HEAD_SIZE_MAX + 1).toString(16).padStart(16, "0"), "too large"],
    ["0000000000000002 0808", "a database came with a message of type 8, which has no snapshot"],
    ["0000000000000004 0807 2001", "a snapshot of nothing"],
    ["0000000000000010 0807 2001 4a0a 1208 0a020801 1000 1802", "a snapshot of nothing"],
    ["0000000000000010 0807 2001 4a0a 1208 0a020801 1002 1800", "a snapshot of nothing"],
    ["000000000000000c 0807 2001 4a06 1204 1002 1802", "a snapshot of nothing"],
    ["0000000000000007 0807 2001 4a0112", "a snapshot's metadata is malformed"],
    ["0000000000000004 0807 4a09", "unexpected end of message"],
  ];
  for (const [head, error] of heads) {
    expect(() => decode(Uint8Array.fromHex(head.replaceAll(" ", "")), 100)).toThrow(error);
  }
});

test("a broken head gives a message or an error of the codec", () => {
  const head = encode(SNAPSHOTS.snapshot);
  for (let at = 0; at < head.length; at++) {
    for (const value of [0, 0x7f, 0x80, 0xff, head[at] ^ 1, head[at] ^ 0x10]) {
      try {
        decode(head.with(at, value), 100);
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError);
      }
    }
  }
});

test("only a snapshot is written ahead of a database", () => {
  expect(() => encode(MESSAGES.append)).toThrow("a database follows on a snapshot");
  const { snapshot } = SNAPSHOTS.snapshot;
  const whole = { ...message(SNAPSHOTS.snapshot.type, { term: 9 }), to: REMOTE, from: LOCAL, snapshot };
  expect(text(decode(encode(whole), 50).message!)).toBe(text(whole));
});
