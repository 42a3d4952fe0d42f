import { expect, test } from "bun:test";
import { hex } from "../../../src/base/bytes.ts";
import { WireWriter } from "../../../src/base/varint.ts";
import { CodecError, decodeMessage, writeMessage } from "../../../src/peer/codec/mod.ts";
import { APPEND_THREAD, EntryType, type Message, MessageType } from "../../../src/raft/mod.ts";
import { entry, ETCD_VERSIONS, message, MESSAGES, readGolden, text } from "./messages.ts";

function encode(message: Message): Uint8Array {
  const writer = new WireWriter(1);
  writeMessage(writer, message);
  return writer.finish();
}

function bytes(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

for (const version of ETCD_VERSIONS) {
  test(`messages of etcd ${version} are understood`, async () => {
    const golden = await readGolden(version);
    for (const [name, message] of Object.entries(MESSAGES)) {
      expect(text(decodeMessage(golden.get(name)!)), name).toBe(text(message));
    }
  });
}

test("what is written is what etcd 3.7 writes, byte for byte", async () => {
  const golden = await readGolden("3.7.1");
  for (const [name, message] of Object.entries(MESSAGES)) {
    expect(hex(encode(message)), name).toBe(hex(golden.get(name)!));
  }
});

test("numbers that are zero, an empty snapshot and unknown fields change nothing", () => {
  const frame = bytes(
    "08 09 10 01 18 02 20 03 28 00 30 00 40 00 4a 06 12 04 0a 00 10 00 50 00 58 00 68 00 62 00 72 02 08 04 a2 06 01 ff",
  );
  expect(text(decodeMessage(frame))).toBe(text(message(MessageType.HEARTBEAT_RESPONSE, { to: 1n, from: 2n, term: 3 })));
});

test("an entry may leave out what is zero, and fields come in any order", () => {
  const frame = bytes("3a 07 22 01 61 18 05 10 02 40 03 20 02 28 02 30 04 18 02 10 01 08 03");
  expect(text(decodeMessage(frame))).toBe(text(message(MessageType.APPEND, {
    to: 1n,
    from: 2n,
    term: 2,
    logTerm: 2,
    index: 4,
    commit: 3,
    entries: [entry(EntryType.NORMAL, 2, 5, "a")],
  })));
});

test("the bytes of a message are views of its frame", () => {
  const frame = encode(MESSAGES.append);
  for (const { data } of decodeMessage(frame).entries) {
    if (data.length > 0) expect(data.buffer).toBe(frame.buffer);
  }
});

const REFUSED: readonly [name: string, frame: string, error: string][] = [
  ["nothing at all", "", "messages of type 0 do not travel"],
  ["a type of raft's own", "08 0a 10 01 18 02 20 03", "messages of type 10 do not travel"],
  ["a type that does not exist", "08 e7 07 10 01 18 02", "messages of type 999 do not travel"],
  [
    "a snapshot by itself",
    "08 07 10 01 18 02 20 03 4a 0a 12 08 0a 02 08 01 10 05 18 02",
    "a snapshot came without its database",
  ],
  ["a term of 2^53", "08 08 10 01 18 02 20 80 80 80 80 80 80 80 10", "impossible term"],
  ["an index of 2^64 - 1", "08 04 10 01 18 02 20 03 30 ff ff ff ff ff ff ff ff ff 01", "impossible index"],
  ["a commit index of 2^63", "08 08 10 01 18 02 20 03 40 80 80 80 80 80 80 80 80 80 01", "impossible commit index"],
  ["an entry of an unknown type", "08 02 10 01 18 02 3a 02 08 03", "there are no entries of type 3"],
  ["a gap between entries", "08 03 10 01 18 02 20 02 28 02 30 04 3a 04 10 02 18 06", "entry 6 follows on entry 4"],
  [
    "an entry of a later term than the message",
    "08 03 10 01 18 02 20 02 28 02 30 04 3a 04 10 03 18 05",
    "entry 5 of term 3 follows on term 2, sent in term 2",
  ],
  [
    "an entry of an earlier term than the one before",
    "08 03 10 01 18 02 20 03 28 02 30 04 3a 04 10 01 18 05",
    "entry 5 of term 1 follows on term 2, sent in term 3",
  ],
  ["an append without a term", "08 03 10 01 18 02 40 09", "a message of type 3 without a term"],
  [
    "a truncated entry",
    "08 03 10 01 18 02 20 02 3a 05 10",
    "a message of 11 bytes is malformed: unexpected end of message",
  ],
  ["a group that does not end", "08 08 0b", "a message of 3 bytes is malformed: unexpected end of group"],
];

test.each([...REFUSED])("%s is refused", (_, frame, error) => {
  expect(() => decodeMessage(bytes(frame))).toThrow(new CodecError(error));
});

test("nobody speaks for another member's storage", () => {
  const frame = encode({ ...MESSAGES.append_response, from: APPEND_THREAD });
  expect(() => decodeMessage(frame)).toThrow(new CodecError("a message of a member's own storage"));
});

test("a message for this member's own storage is never written", () => {
  expect(() => encode(message(MessageType.STORAGE_APPEND, {}))).toThrow("only messages for other members are written");
});

test("a broken message is an error of the codec or another message, whatever was broken", () => {
  for (const original of Object.values(MESSAGES)) {
    const frame = encode(original);
    for (let at = 0; at < frame.length; at++) {
      expectMessageOrError(frame.slice(0, at));
      for (const value of [0, 0x7f, 0x80, 0xff, frame[at] ^ 1, frame[at] ^ 0x10]) {
        expectMessageOrError(frame.with(at, value));
      }
    }
  }
});

function expectMessageOrError(frame: Uint8Array): void {
  try {
    const message = decodeMessage(frame);
    expect(text(decodeMessage(encode(message)))).toBe(text(message));
  } catch (error) {
    expect(error).toBeInstanceOf(CodecError);
  }
}
