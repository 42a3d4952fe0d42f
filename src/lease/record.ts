/**
 * Leases as etcd's database holds them (frozen: on disk), in its bucket `lease`:
 *
 *     key    id, 64 bits, big-endian          value  leasepb.Lease { ID(1) int64  TTL(2) int64  RemainingTTL(3) int64 }
 *
 * Keys are ordered as unsigned numbers, so that negative ids come last. The attached keys are not saved: their own records
 * name the lease.
 */
import { WireError, WireReader, type WireWriter } from "../base/varint.ts";

/** What is saved of a lease. */
export interface LeaseRecord {
  readonly id: bigint;
  /** Granted time to live in seconds. */
  readonly ttl: number;
  /** Seconds left at the last checkpoint that was saved; 0 for none. */
  readonly remainingTtl: number;
}

export function writeLease(writer: WireWriter, { id, ttl, remainingTtl }: LeaseRecord): void {
  writer.integer64Field(1, id);
  writer.integerField(2, ttl);
  writer.integerField(3, remainingTtl);
}

/** Reads what etcd wrote. Throws WireError, also for a lease without an id. */
export function decodeLease(bytes: Uint8Array): LeaseRecord {
  let id = 0n;
  let ttl = 0;
  let remainingTtl = 0;
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 8) id = reader.exactInt64();
    else if (tag === 16) ttl = reader.int64();
    else if (tag === 24) remainingTtl = reader.int64();
    else reader.skip(tag);
  }
  if (id === 0n) throw new WireError("a lease without an id");
  return { id, ttl, remainingTtl };
}
