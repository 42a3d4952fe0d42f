/**
 * A store as plain as can be, to compare the real one with: a list of revisions, every answer by looking at all of them.
 * KeyValues are encoded with the generated code and hashed byte by byte, from the text of the algorithm.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { compareBytes, concatBytes, hex, utf8 } from "../../src/base/bytes.ts";
import { updateCrc32c } from "../../src/base/crc32c.ts";
import { type KeyValue, KeyValueSchema } from "../../src/gen/mvccpb/kv_pb.ts";
import type { RangeQuery } from "../../src/mvcc/mod.ts";

interface Revision {
  readonly main: number;
  readonly sub: number;
  readonly isTombstone: boolean;
  readonly kv: KeyValue;
}

export interface ModelRange {
  kvs: KeyValue[];
  count: number;
  more: boolean;
}

export class ModelStore {
  revisions: Revision[] = [];
  revision = 1;
  compactRevision = -1;
  hashes: { hash: number; hashRevision: number; compactRevision: number; hasNoLiveKeys: true | undefined }[] = [];
  #pending: Revision[] | undefined;

  begin(): void {
    this.#pending = [];
  }

  commit(): void {
    if (this.#pending!.length > 0) this.revision++;
    this.#pending = undefined;
  }

  put(key: Uint8Array, value: Uint8Array, lease: bigint): void {
    const main = this.revision + 1;
    const before = this.at(key, main);
    const kv = create(KeyValueSchema, {
      key,
      value,
      lease,
      createRevision: before?.createRevision ?? BigInt(main),
      modRevision: BigInt(main),
      version: (before?.version ?? 0n) + 1n,
    });
    this.#append(main, false, kv);
  }

  deleteRange(key: Uint8Array, rangeEnd: Uint8Array): KeyValue[] {
    const main = this.revision + 1;
    const deleted = this.live(key, rangeEnd, main);
    for (const kv of deleted) this.#append(main, true, create(KeyValueSchema, { key: kv.key }));
    return deleted;
  }

  #append(main: number, isTombstone: boolean, kv: KeyValue): void {
    const revision = { main, sub: this.#pending!.length, isTombstone, kv };
    this.#pending!.push(revision);
    this.revisions.push(revision);
  }

  at(key: Uint8Array, revision: number): KeyValue | undefined {
    return this.live(key, new Uint8Array(0), revision)[0];
  }

  /** Live keys of a range at a revision, in order. */
  live(key: Uint8Array, rangeEnd: Uint8Array, revision: number): KeyValue[] {
    const newest = new Map<string, Revision>();
    for (const r of this.revisions) {
      if (r.main <= revision && isInRange(r.kv.key, key, rangeEnd)) newest.set(hex(r.kv.key), r);
    }
    return [...newest.values()].filter((r) => !r.isTombstone).map((r) => r.kv).sort((a, b) =>
      compareBytes(a.key, b.key)
    );
  }

  range(query: RangeQuery): ModelRange | "compacted" | "future" {
    if (query.revision > this.revision) return "future";
    const revision = query.revision <= 0 ? this.revision : query.revision;
    if (revision < this.compactRevision) return "compacted";
    let kvs = this.live(query.key, query.rangeEnd, revision);
    const count = kvs.length;
    if (query.countOnly) return { kvs: [], count, more: false };
    const hasFilters = query.minModRevision !== 0 || query.maxModRevision !== 0 || query.minCreateRevision !== 0 ||
      query.maxCreateRevision !== 0;
    const isDefaultOrder = query.sortOrder === 0 || (query.sortTarget === 0 && query.sortOrder === 1);
    if (query.limit > 0 && isDefaultOrder && !hasFilters) kvs = kvs.slice(0, query.limit + 1);
    if (query.maxModRevision !== 0) kvs = kvs.filter((kv) => kv.modRevision <= query.maxModRevision);
    if (query.minModRevision !== 0) kvs = kvs.filter((kv) => kv.modRevision >= query.minModRevision);
    if (query.maxCreateRevision !== 0) kvs = kvs.filter((kv) => kv.createRevision <= query.maxCreateRevision);
    if (query.minCreateRevision !== 0) kvs = kvs.filter((kv) => kv.createRevision >= query.minCreateRevision);
    const sign = query.sortOrder === 2 ? -1 : 1;
    kvs.sort((a, b) => sign * compareBy(query.sortTarget, a, b));
    const more = query.limit > 0 && kvs.length > query.limit;
    if (more) kvs = kvs.slice(0, query.limit);
    if (query.keysOnly) {
      kvs = kvs.map((kv) =>
        create(KeyValueSchema, { ...kv, value: new Uint8Array(0), lease: query.sortTarget === 4 ? kv.lease : 0n })
      );
    }
    return { kvs, count, more };
  }

  /** Compacts and physically removes in one go; stores the hash as a compaction whose predecessor has finished. */
  compact(revision: number): "compacted" | "future" | undefined {
    if (revision <= this.compactRevision) return "compacted";
    if (revision > this.revision) return "future";
    const keep = this.#keep(revision, true);
    const hash = this.#hash(revision, this.compactRevision, keep);
    const hasNoLiveKeys = this.#keep(revision, false).size === 0 ? true : undefined;
    this.hashes.push({ hash, hashRevision: revision, compactRevision: this.compactRevision, hasNoLiveKeys });
    this.hashes.sort((a, b) => a.hashRevision - b.hashRevision);
    if (this.hashes.length > 10) this.hashes.shift();
    this.revisions = this.revisions.filter((r) => r.main > revision || keep.has(r));
    this.compactRevision = revision;
    return undefined;
  }

  hashKv(revision: number) {
    for (const hash of this.hashes) if (hash.hashRevision === revision) return hash;
    if (revision > 0 && revision < this.compactRevision) return "compacted";
    if (revision > this.revision) return "future";
    const at = revision === 0 ? this.revision : revision;
    return {
      hash: this.#hash(at, this.compactRevision, this.#keep(at, false)),
      hashRevision: at,
      compactRevision: this.compactRevision,
      hasNoLiveKeys: this.#keep(at, false).size === 0 ? true : undefined,
    };
  }

  /** What a compaction at `revision` keeps of the revisions up to it, with or without tombstones at it. */
  #keep(revision: number, withTombstones: boolean): Set<Revision> {
    const newest = new Map<string, Revision>();
    for (const r of this.revisions) if (r.main <= revision) newest.set(hex(r.kv.key), r);
    return new Set([...newest.values()].filter((r) => !r.isTombstone || (withTombstones && r.main === revision)));
  }

  #hash(revision: number, compactRevision: number, keep: Set<Revision>): number {
    let crc = updateCrc32c(0, utf8("key"));
    for (const r of this.revisions) {
      if (r.main > revision) continue;
      if (r.main <= compactRevision && keep.size > 0 && !keep.has(r)) continue;
      if (r.main === compactRevision && r.isTombstone) continue;
      const key = new DataView(new ArrayBuffer(18));
      key.setBigUint64(0, BigInt(r.main));
      key.setUint8(8, "_".charCodeAt(0));
      key.setBigUint64(9, BigInt(r.sub));
      key.setUint8(17, "t".charCodeAt(0));
      crc = updateCrc32c(crc, new Uint8Array(key.buffer, 0, r.isTombstone ? 18 : 17));
      crc = updateCrc32c(crc, toBinary(KeyValueSchema, r.kv));
    }
    return crc;
  }
}

export function isInRange(key: Uint8Array, start: Uint8Array, rangeEnd: Uint8Array): boolean {
  if (rangeEnd.length === 0) return compareBytes(key, start) === 0;
  if (compareBytes(key, start) < 0) return false;
  return (rangeEnd.length === 1 && rangeEnd[0] === 0) || compareBytes(key, rangeEnd) < 0;
}

function compareBy(target: number, a: KeyValue, b: KeyValue): number {
  switch (target) {
    case 0:
      return compareBytes(a.key, b.key);
    case 1:
      return Number(a.version - b.version);
    case 2:
      return Number(a.createRevision - b.createRevision);
    case 3:
      return Number(a.modRevision - b.modRevision);
    default:
      return compareBytes(a.value, b.value);
  }
}

/** The framed records of a range response: field 2, once per KeyValue. */
export function frameKvs(kvs: readonly KeyValue[]): Uint8Array {
  return concatBytes(kvs.flatMap((kv) => {
    const bytes = toBinary(KeyValueSchema, kv);
    const size: number[] = [0x12];
    let rest = bytes.length;
    for (; rest > 127; rest >>>= 7) size.push((rest & 127) | 128);
    size.push(rest);
    return [Uint8Array.from(size), bytes];
  }));
}
