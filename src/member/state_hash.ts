/**
 * Maintenance.Hash: one checksum over everything a member stores, as etcd computes it over its database: CRC-32C of each
 * bucket's name followed by its keys and values, buckets and keys in byte order. What changes without a client's doing
 * (consistent index, term, storage version) is left out. A compaction that is on its way counts as carried out.
 */
import { utf8Text } from "../base/bytes.ts";
import { updateCrc32c } from "../base/crc32c.ts";
import { JOB_STEP_BUDGET } from "../base/limits.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import type { Membership } from "../membership/mod.ts";
import type { ConfState } from "../raft/mod.ts";
import { BUCKETS, captureState, KeyBucket, otherBuckets } from "./buckets.ts";
import { LeaseRows } from "./lease_rows.ts";

export interface HashedState {
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  readonly confState: ConfState;
}

/** Values are hashed in pieces of this size. */
const PIECE_SIZE = 64 * 1024;
const KEY_SIZE_MAX = 32768;

/** Yields between steps; returns the checksum as an unsigned 32-bit number. */
export function* hashState(parts: HashedState): Generator<undefined, number> {
  const { store } = parts.keyspace;
  // Without an index there is no consistent index and no term.
  const state = { ...captureState({ ...parts, index: 0, term: 0 }), storageVersion: "" };
  const pin = store.pin(Math.max(state.compactRevision, 1));
  const leases = new LeaseRows(state.leases);
  while (!leases.prepare(JOB_STEP_BUDGET)) yield;
  const sources = new Map(
    [new KeyBucket(store, state, 0), ...otherBuckets(state, leases, state.compactRevision)]
      .map((source) => [utf8Text(source.name), source]),
  );
  const scratch = new Uint8Array(Math.max(PIECE_SIZE, KEY_SIZE_MAX));
  let crc = 0;
  let left = JOB_STEP_BUDGET;
  for (const name of BUCKETS) {
    const source = sources.get(name)!;
    crc = updateCrc32c(crc, source.name);
    for (const cursor = source.open(); cursor.next();) {
      cursor.copyKey(scratch, 0);
      crc = updateCrc32c(crc, scratch, 0, cursor.keySize);
      for (let start = 0; start < cursor.valueSize; start += PIECE_SIZE) {
        const end = Math.min(start + PIECE_SIZE, cursor.valueSize);
        cursor.copyValue(scratch, 0, start, end);
        crc = updateCrc32c(crc, scratch, 0, end - start);
        left -= 4 + (end - start) / 256;
        if (left > 0) continue;
        yield;
        left = JOB_STEP_BUDGET;
      }
    }
  }
  pin.release();
  return crc;
}
