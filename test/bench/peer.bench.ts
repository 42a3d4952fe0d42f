/**
 * The bytes between members, in memory: `bun test/bench/peer.bench.ts [rounds]`. Appends of 64 entries of 300 bytes each
 * through the stream of appends, and heartbeats through the stream of messages, written and read. Prints nanoseconds of CPU
 * per entry or message: the median and the best of ten parts, since other processes share the machine.
 */
import { WireWriter } from "../../src/base/varint.ts";
import {
  AppendStreamDecoder,
  AppendStreamEncoder,
  MessageStreamDecoder,
  writeFramedMessage,
} from "../../src/peer/codec/mod.ts";
import { type Entry, EntryType, type Message, MessageType, newMessage } from "../../src/raft/mod.ts";

const rounds = Number(process.argv[2] ?? 2000);
const PARTS = 10;
const ENTRIES = 64;
const CHUNK_SIZE = 64 * 1024;
const LOCAL = 0x8e9e05c52164694dn;
const REMOTE = 0x91bc3c398fb3c146n;

const data = new Uint8Array(300).fill(120);

function appendAt(index: number): Message {
  const entries: Entry[] = [];
  for (let i = 1; i <= ENTRIES; i++) entries.push({ term: 7, index: index + i, type: EntryType.NORMAL, data });
  return { ...newMessage(MessageType.APPEND, LOCAL), from: REMOTE, term: 7, logTerm: 7, index, commit: index, entries };
}

function heartbeat(): Message {
  return { ...newMessage(MessageType.HEARTBEAT, LOCAL), from: REMOTE, term: 7, commit: 123_456_789 };
}

/** Runs `part` PARTS times; prints the CPU time of one of the `count` things that each does. */
function measure(name: string, count: number, part: () => void): void {
  part();
  const times: number[] = [];
  for (let i = 0; i < PARTS; i++) {
    const before = process.cpuUsage();
    part();
    const { user, system } = process.cpuUsage(before);
    times.push((user + system) * 1000 / count);
  }
  times.sort((a, b) => a - b);
  console.log(`${name.padEnd(40)} ${times[PARTS >> 1].toFixed(0).padStart(6)} ${times[0].toFixed(0).padStart(6)} ns`);
}

function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_SIZE) chunks.push(bytes.slice(at, at + CHUNK_SIZE));
  return chunks;
}

const writer = new WireWriter();
const appends = Array.from({ length: 100 }, (_, i) => appendAt(1000 + i * ENTRIES));
const heartbeats = Array.from({ length: ENTRIES }, heartbeat);
let received = 0;

measure("append stream: write an entry", rounds * ENTRIES, () => {
  for (let round = 0; round < rounds; round += appends.length) {
    const encoder = new AppendStreamEncoder();
    writer.reset();
    for (const append of appends) encoder.write(writer, append);
  }
});

const appendChunks = chunksOf(writer.finish());
measure("append stream: read an entry", rounds * ENTRIES, () => {
  for (let round = 0; round < rounds; round += appends.length) {
    const decoder = new AppendStreamDecoder(LOCAL, REMOTE, (message) => received += message.entries.length);
    for (const chunk of appendChunks) decoder.push(chunk);
  }
});

measure("message stream: write a heartbeat", rounds * ENTRIES, () => {
  for (let round = 0; round < rounds; round++) {
    writer.reset();
    for (const message of heartbeats) writeFramedMessage(writer, message);
  }
});

const heartbeatChunk = writer.finish();
measure("message stream: read a heartbeat", rounds * ENTRIES, () => {
  const decoder = new MessageStreamDecoder(() => received++);
  for (let round = 0; round < rounds; round++) decoder.push(heartbeatChunk);
});

if (received !== 2 * (PARTS + 1) * rounds * ENTRIES) throw new Error(`${received} things were received`);
