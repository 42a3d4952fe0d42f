import { expect, test } from "bun:test";
import fc from "fast-check";
import { entrySize } from "../../src/raft/entry.ts";
import { type Entry, EntryType, RaftLog } from "../../src/raft/mod.ts";
import { create, toBinary } from "@bufbuild/protobuf";
import { EntrySchema } from "../../src/gen/raftpb/raft_pb.ts";

/** The log as a plain list. */
class Model {
  offset = 0;
  offsetTerm = 0;
  entries: Entry[] = [];

  get lastIndex(): number {
    return this.offset + this.entries.length;
  }

  term(index: number): number {
    if (index < this.offset || index > this.lastIndex) return -1;
    return index === this.offset ? this.offsetTerm : this.entries[index - this.offset - 1].term;
  }
}

function makeEntry(term: number, index: number, size: number): Entry {
  return { term, index, type: EntryType.NORMAL, data: new Uint8Array(size) };
}

interface Pair {
  readonly log: RaftLog;
  readonly model: Model;
}

const change = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("append" as const), count: fc.nat(8), size: fc.nat(300) }) },
  fc.record({ kind: fc.constant("truncate" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant("compact" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ kind: fc.constant("restore" as const), ahead: fc.nat(5) }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function makeChange({ log, model }: Pair, change: Change, term: number): void {
  const between = (share: number) => model.offset + Math.floor(share * model.entries.length);
  if (change.kind === "append") {
    for (let i = 0; i < change.count; i++) {
      const entry = makeEntry(term, model.lastIndex + 1, change.size);
      log.append(entry);
      model.entries.push(entry);
    }
  } else if (change.kind === "truncate") {
    const index = between(change.share);
    log.truncate(index);
    model.entries.length = index - model.offset;
  } else if (change.kind === "compact") {
    const index = between(change.share);
    log.compact(index);
    [model.offsetTerm, model.entries] = [model.term(index), model.entries.slice(index - model.offset)];
    model.offset = index;
  } else {
    const index = model.lastIndex + change.ahead;
    log.restore(index, term);
    [model.offset, model.offsetTerm, model.entries] = [index, term, []];
  }
}

test("whatever is appended, taken back, forgotten or replaced, the log is what a plain list would be", () => {
  fc.assert(fc.property(fc.array(change, { maxLength: 60 }), fc.nat(1000), (changes, sizeMax) => {
    const pair: Pair = { log: new RaftLog(), model: new Model() };
    const { log, model } = pair;
    changes.forEach((change, i) => makeChange(pair, change, 1 + Math.floor(i / 3)));
    expect([log.offset, log.lastIndex]).toEqual([model.offset, model.lastIndex]);
    expect(log.slice(log.offset, log.lastIndex)).toEqual(model.entries);
    expect(log.size).toBe(model.entries.reduce((size, { data }) => size + data.length, 0));
    for (let index = model.offset - 1; index <= model.lastIndex + 1; index++) {
      expect(log.termOrNone(index)).toBe(model.term(index));
    }
    let count = 0;
    let size = 0;
    while (count < model.entries.length && (count === 0 || size + entrySize(model.entries[count]) <= sizeMax)) {
      size += entrySize(model.entries[count++]);
    }
    expect(log.sliceUpToSize(log.offset, log.lastIndex, sizeMax)).toEqual(model.entries.slice(0, count));
  }));
});

test("a search by term ends at the last entry of that term or an earlier one, or where the log is no longer held", () => {
  const log = new RaftLog(10, 2);
  [2, 2, 4, 4, 7].forEach((term, i) => log.append(makeEntry(term, 11 + i, 0)));
  expect(log.lastIndexWithTermUpTo(15, 7)).toBe(15);
  expect(log.lastIndexWithTermUpTo(15, 6)).toBe(14);
  expect(log.lastIndexWithTermUpTo(15, 3)).toBe(12);
  expect(log.lastIndexWithTermUpTo(15, 1)).toBe(9);
  expect(log.lastIndexWithTermUpTo(5, 1)).toBe(5);
});

test("a log is up to date by its last term, then by its length", () => {
  const log = new RaftLog(10, 2);
  log.append(makeEntry(3, 11, 0));
  expect(log.isUpToDate(11, 3)).toBe(true);
  expect(log.isUpToDate(5, 4)).toBe(true);
  expect(log.isUpToDate(10, 3)).toBe(false);
  expect(log.isUpToDate(99, 2)).toBe(false);
});

test("an entry's size is that of its protobuf message", () => {
  for (
    const [term, index, type, length] of [[1, 1, 0, 0], [127, 128, 0, 1], [2 ** 40, 2 ** 53 - 1, 1, 130], [
      3,
      4,
      2,
      20_000,
    ]]
  ) {
    const entry = { term, index, type: type as EntryType, data: new Uint8Array(length) };
    const message = create(EntrySchema, {
      Term: BigInt(term),
      Index: BigInt(index),
      ...(type === 0 ? {} : { Type: type }),
      ...(length === 0 ? {} : { Data: entry.data }),
    });
    expect(entrySize(entry)).toBe(toBinary(EntrySchema, message).length);
  }
});
