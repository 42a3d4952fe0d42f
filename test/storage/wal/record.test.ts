import { expect, test } from "bun:test";
import { concatBytes, hex } from "../../../src/base/bytes.ts";
import { FRAME_SIZE, paddingSize, RecordReader, RecordType, RecordWriter } from "../../../src/storage/wal/record.ts";

async function readRecords(name: string): Promise<Uint8Array[]> {
  const text = await Bun.file(new URL(`golden/${name}.hex`, import.meta.url)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => Uint8Array.fromHex(line));
}

/** Reads each record and writes it again. */
function rewrite(records: Uint8Array[]): string {
  const reader = new RecordReader();
  const writer = new RecordWriter(0, 16);
  for (const record of records) {
    const type = record[FRAME_SIZE + 1];
    const data = record.indexOf(0x1a, FRAME_SIZE + 4);
    const start = data + 2;
    const end = start + record[data + 1];
    if (type === RecordType.METADATA) writer.metadata(reader.metadata(record, start, end));
    else if (type === RecordType.ENTRY) writer.entry(reader.entry(record, start, end));
    else if (type === RecordType.STATE) writer.state(reader.state(record, start, end));
    else if (type === RecordType.SNAPSHOT) writer.snapshot(reader.snapshot(record, start, end));
    else writer.chain();
  }
  return hex(writer.bytes.subarray(0, writer.length));
}

test("what is written is what etcd up to 3.6 writes, byte for byte", async () => {
  const records = await readRecords("first_start");
  expect(rewrite(records)).toBe(hex(concatBytes(records)));
});

test("etcd 3.7 differs in the type of normal entries only, which it leaves out", async () => {
  const records = await readRecords("etcd_3.7.1_first_start");
  expect(rewrite(records)).toBe(hex(concatBytes(await readRecords("first_start"))));
  // Until the first normal entry, the checksums included, there is no difference at all.
  const same = records.slice(0, 6);
  expect(rewrite(same)).toBe(hex(concatBytes(same)));
});

test("a snapshot record carries its configuration, auto_leave included even when false", () => {
  const confState = {
    voters: [1n, 2n ** 64n - 1n],
    learners: [3n],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  const writer = new RecordWriter(0, 16);
  writer.snapshot({ index: 300, term: 2, confState });
  // 08 index, 10 term, 1a { 08 voter, 08 voter, 10 learner, 28 auto_leave }
  const data = "08ac021002" + "1a11" + "0801" + "08ffffffffffffffffff01" + "1003" + "2800";
  const bytes = writer.bytes.subarray(0, writer.length);
  expect(hex(bytes)).toContain(data);
  const start = hex(bytes).indexOf(data) / 2;
  const snapshot = new RecordReader().snapshot(bytes, start, start + data.length / 2);
  expect(snapshot).toEqual({ index: 300, term: 2, confState });
});

test("every record ends at a multiple of eight, with zeros behind its payload", () => {
  const writer = new RecordWriter(0, 16);
  for (let size = 0; size < 40; size++) {
    writer.length = 0;
    // A used buffer: padding must be written, not assumed.
    writer.bytes.fill(0xff);
    writer.entry({ term: 1, index: 1, type: 0, data: new Uint8Array(size).fill(0xff) });
    const payloadSize = writer.bytes[0];
    const padding = paddingSize(payloadSize);
    expect(writer.length % FRAME_SIZE).toBe(0);
    expect(writer.length).toBe(FRAME_SIZE + payloadSize + padding);
    expect(writer.bytes[7]).toBe(padding === 0 ? 0 : 0x80 + padding);
    expect(writer.bytes.slice(writer.length - padding, writer.length).every((byte) => byte === 0)).toBe(true);
  }
});

const REFUSED: [name: string, kind: "entry" | "state" | "metadata" | "snapshot", hex: string][] = [
  ["an unknown field of an entry", "entry", "1001180128" + "01"],
  ["a field of an entry twice", "entry", "100110011801"],
  ["an unknown entry type", "entry", "080310011801"],
  ["an entry without a term", "entry", "1801"],
  ["an index that no log reaches", "entry", "100118ffffffffffffffffff01"],
  ["a hard state without a vote", "state", "08011801"],
  ["an unknown field of a hard state", "state", "0801100018012001"],
  ["an unknown field of metadata", "metadata", "080110021801"],
  ["an unknown field of a snapshot", "snapshot", "080110012201"],
  ["an unknown field of a configuration", "snapshot", "080110011a023001"],
  ["a truncated varint", "state", "080110001880"],
];

test.each(REFUSED)("%s is refused", (_name, kind, text) => {
  const bytes = Uint8Array.fromHex(text);
  expect(() => new RecordReader()[kind](bytes, 0, bytes.length)).toThrow();
});
