import { describe, expect, test } from "bun:test";
import { concatBytes, hex } from "../../../src/base/bytes.ts";
import { PEER_MESSAGE_SIZE_MAX } from "../../../src/base/limits.ts";
import { WireWriter } from "../../../src/base/varint.ts";
import {
  AppendStreamDecoder,
  AppendStreamEncoder,
  CodecError,
  MessageStreamDecoder,
  writeFramedMessage,
  writeLinkHeartbeat,
} from "../../../src/peer/codec/mod.ts";
import { EntryType, type Message, MessageType } from "../../../src/raft/mod.ts";
import {
  APPEND_STREAM,
  entry,
  ETCD_VERSIONS,
  LOCAL,
  message,
  MESSAGE_STREAM,
  MESSAGES,
  readGolden,
  REMOTE,
  SNAPSHOTS,
  text,
  texts,
} from "./messages.ts";

interface Decoder {
  readonly isAtBoundary: boolean;
  push(chunk: Uint8Array): void;
}

/** One kind of stream: its golden name, what that holds, how to write it and how to read it. */
interface Stream {
  readonly name: string;
  readonly messages: readonly Message[];
  write(writer: WireWriter): void;
  decoder(receive: (message: Message) => void): Decoder;
}

const MESSAGES_OF_ALL_KINDS: Stream = {
  name: "message_stream",
  messages: MESSAGE_STREAM,
  write(writer) {
    writeLinkHeartbeat(writer);
    writeFramedMessage(writer, MESSAGE_STREAM[0]);
    writeFramedMessage(writer, MESSAGE_STREAM[1]);
    writeLinkHeartbeat(writer);
    writeFramedMessage(writer, MESSAGE_STREAM[2]);
  },
  decoder: (receive) => new MessageStreamDecoder(receive),
};

const APPENDS: Stream = {
  name: "append_stream",
  messages: APPEND_STREAM,
  write(writer) {
    const encoder = new AppendStreamEncoder();
    encoder.writeLinkHeartbeat(writer);
    for (const [position, append] of APPEND_STREAM.entries()) {
      if (position === 3) encoder.writeLinkHeartbeat(writer);
      encoder.write(writer, append);
    }
  },
  decoder: (receive) => new AppendStreamDecoder(LOCAL, REMOTE, receive),
};

function encode(stream: Stream): Uint8Array {
  const writer = new WireWriter(1);
  stream.write(writer);
  return writer.finish();
}

/** What comes out of `bytes` in chunks of `size`; each chunk is overwritten once it was pushed, as a socket's buffer is. */
function decode(stream: Stream, bytes: Uint8Array, size: number): { messages: Message[]; isAtBoundary: boolean } {
  const messages: Message[] = [];
  const decoder = stream.decoder((message) => messages.push(message));
  for (let at = 0; at < bytes.length; at += size) {
    // A Buffer, as sockets give them: its slice() is no copy.
    const chunk = Buffer.from(bytes.slice(at, at + size));
    decoder.push(chunk);
    chunk.fill(0xee);
  }
  return { messages, isAtBoundary: decoder.isAtBoundary };
}

for (const stream of [MESSAGES_OF_ALL_KINDS, APPENDS]) {
  describe(stream.name, () => {
    for (const version of ETCD_VERSIONS) {
      test(`what etcd ${version} writes is understood, however it is cut`, async () => {
        const bytes = (await readGolden(version)).get(stream.name)!;
        for (let size = 1; size <= bytes.length; size++) {
          const { messages, isAtBoundary } = decode(stream, bytes, size);
          expect(texts(messages)).toEqual(texts(stream.messages));
          expect(isAtBoundary).toBe(true);
        }
      });
    }

    test("what is written is what etcd 3.7 writes, byte for byte", async () => {
      expect(hex(encode(stream))).toBe(hex((await readGolden("3.7.1")).get(stream.name)!));
    });

    test("a stream that breaks off gives the messages before, and does not end where one could", () => {
      const bytes = encode(stream);
      const ends = new Set<number>();
      for (let size = 0; size <= bytes.length; size++) {
        const { messages, isAtBoundary } = decode(stream, bytes.slice(0, size), 7);
        expect(texts(messages)).toEqual(texts(stream.messages.slice(0, messages.length)));
        if (isAtBoundary) ends.add(size);
      }
      // Between the messages and link heartbeats, and at both ends.
      expect(ends.size).toBe(stream.messages.length + 3);
    });

    test("a broken stream gives messages or an error of the codec", () => {
      const bytes = encode(stream);
      let errorCount = 0;
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0, 1, 2, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at] ^ 0x10]) {
          try {
            decode(stream, bytes.with(at, value), 64);
          } catch (error) {
            expect(error).toBeInstanceOf(CodecError);
            errorCount++;
          }
        }
      }
      expect(errorCount).toBeGreaterThan(bytes.length);
    });
  });
}

function bytes(text: string): Uint8Array {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

test("a claim of more than a message may have is refused, and one of that much costs nothing yet", () => {
  const limit = PEER_MESSAGE_SIZE_MAX.toString(16).padStart(16, "0");
  const above = (PEER_MESSAGE_SIZE_MAX + 1).toString(16).padStart(16, "0");
  const claims: [stream: Stream, before: string][] = [
    [MESSAGES_OF_ALL_KINDS, ""],
    [APPENDS, "02"],
    [APPENDS, "01 00 00 00 00 00 00 00 02"],
  ];
  const before = process.memoryUsage().arrayBuffers;
  for (const [stream, head] of claims) {
    for (const claim of [above, "ffffffffffffffff"]) {
      expect(() => decode(stream, bytes(head + claim), 100)).toThrow("too large");
    }
  }
  for (const [stream, head] of claims.slice(0, 2)) {
    expect(decode(stream, bytes(`${head}${limit} 08 03`), 3).isAtBoundary).toBe(false);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(PEER_MESSAGE_SIZE_MAX / 8);
});

test("entries are refused once they are too many or too large together", () => {
  const count = (PEER_MESSAGE_SIZE_MAX / 8 - 1).toString(16).padStart(16, "0");
  expect(() => decode(APPENDS, bytes(`01 ${count}`), 100)).toThrow("too large");
  const half = (PEER_MESSAGE_SIZE_MAX / 2).toString(16).padStart(16, "0");
  const decoder = new AppendStreamDecoder(LOCAL, REMOTE, () => {});
  decoder.push(bytes(`01 0000000000000002 ${half}`));
  const chunk = new Uint8Array(PEER_MESSAGE_SIZE_MAX / 16);
  for (let i = 0; i < 8; i++) decoder.push(chunk);
  expect(() => decoder.push(bytes(half))).toThrow("too large");
});

test("a message of many chunks comes out whole", () => {
  const data = "0123456789abcdef".repeat(20_000);
  const large = message(MessageType.APPEND, {
    term: 7,
    logTerm: 7,
    index: 306,
    entries: [entry(EntryType.NORMAL, 7, 307, data), entry(EntryType.NORMAL, 7, 308, data)],
  });
  const append: Stream = {
    ...APPENDS,
    write(writer) {
      const encoder = new AppendStreamEncoder();
      encoder.write(writer, large);
      encoder.write(writer, {
        ...large,
        index: 308,
        entries: large.entries.map((entry) => ({ ...entry, index: entry.index + 2 })),
      });
    },
  };
  const { messages } = decode(append, encode(append), 65_536);
  expect(messages.map(({ index, entries }) => [index, ...entries.map((entry) => entry.index)])).toEqual([
    [306, 307, 308],
    [308, 309, 310],
  ]);
  for (const { entries } of messages) for (const entry of entries) expect(entry.data).toEqual(large.entries[0].data);
});

test("entries that came in pieces keep alive no more than was sent", () => {
  const bytes = encode(APPENDS);
  for (const { entries } of decode(APPENDS, bytes, 1).messages) {
    for (const { data } of entries) expect(data.buffer.byteLength).toBeLessThan(bytes.length);
  }
});

test("every message travels over the stream of messages, but for a snapshot", () => {
  const writer = new WireWriter();
  for (const message of Object.values(MESSAGES)) writeFramedMessage(writer, message);
  const { messages } = decode(MESSAGES_OF_ALL_KINDS, writer.finish(), 10);
  expect(texts(messages)).toEqual(texts(Object.values(MESSAGES)));
  writer.reset();
  writeFramedMessage(writer, SNAPSHOTS.snapshot);
  expect(() => decode(MESSAGES_OF_ALL_KINDS, writer.finish(), 10)).toThrow("a snapshot came without its database");
});

test("the stream of appends takes nothing else", () => {
  const writer = new WireWriter();
  writeFramedMessage(writer, MESSAGES.vote);
  const vote = concatBytes([Uint8Array.of(2), writer.finish()]);
  expect(() => decode(APPENDS, vote, 10)).toThrow("a message of type 5 among the appends");
  expect(() => new AppendStreamEncoder().write(writer, MESSAGES.vote)).toThrow("only appends");
  expect(() => decode(APPENDS, Uint8Array.of(3), 10)).toThrow("failed to parse type 3 in msgappv2 stream");
});

test("an append that follows on nothing is refused, with entries and without", () => {
  const none = "0000000000000000";
  expect(() => decode(APPENDS, bytes(`01 ${none} ${none}`), 100)).toThrow("a message of type 3 without a term");
  const one = "01 0000000000000001 0000000000000006 080010051801 0000000000000000";
  expect(() => decode(APPENDS, bytes(one), 100)).toThrow("a message of type 3 without a term");
});

test("a commit index that no log reaches is refused", () => {
  const full = encode(APPENDS).slice(1, 1 + 1 + 8 + 0x32);
  expect(() => decode(APPENDS, concatBytes([full, bytes("01 0000000000000000 0020000000000000")]), 100)).toThrow(
    "impossible commit index",
  );
});

test("random logs in random messages come out as they went in", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = newRandom(seed);
    const appends = randomAppends(random);
    const stream: Stream = {
      ...APPENDS,
      write(writer) {
        const encoder = new AppendStreamEncoder();
        for (const append of appends) encoder.write(writer, append);
      },
    };
    const { messages, isAtBoundary } = decode(stream, encode(stream), 1 + random(300));
    expect(isAtBoundary).toBe(true);
    expect(texts(messages), `seed ${seed}`).toEqual(appends.map(text));
  }
});

/** A leader's appends: mostly each one follows on the last, now and then it goes back or its term changes. */
function randomAppends(random: (below: number) => number): Message[] {
  const appends: Message[] = [];
  let term = 1 + random(300);
  let index = random(300);
  let logTerm = term;
  for (let i = 0; i < 40; i++) {
    if (random(8) === 0) term += random(3);
    if (random(8) === 0) index = Math.max(0, index - random(5));
    const entries = Array.from({ length: random(5) }, (_, k) => {
      return entry(
        random(9) === 0 ? EntryType.CONF_CHANGE : EntryType.NORMAL,
        term,
        index + 1 + k,
        "x".repeat(random(400)),
      );
    });
    appends.push(message(MessageType.APPEND, { term, logTerm, index, commit: random(index + 1), entries }));
    index += entries.length;
    if (entries.length > 0) logTerm = term;
  }
  return appends;
}

/** Numerical Recipes' linear congruential generator: the tests are the same on every run. */
function newRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 4294967296 * below);
  };
}
