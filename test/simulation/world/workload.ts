/** What clients ask for: a few keys that all of them fight over, and what they have seen of them. */

import type {
  Compare,
  DeleteRangeRequest,
  KeyValue,
  PutRequest,
  RangeRequest,
  Request,
  Response,
  TxnOperation,
} from "../observations.ts";
import type { Random } from "./random.ts";

const KEYS = ["a", "b", "c", "d", "e", "f", "g"];
/** A value now and then is large enough that few of them fill a segment of the log. */
const LARGE_VALUE_SIZE = 1500;

export class Workload {
  readonly #random: Random;
  readonly #seen = new Map<string, KeyValue>();
  readonly #leases: bigint[] = [];
  #valueCount = 0;
  #leaseCount = 0;
  /** The greatest revision in any answer. */
  revision = 1;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Request {
    const kind = this.#random.weighted({
      put: 34,
      range: 26,
      txn: 14,
      deleteRange: 6,
      compact: 3,
      leaseGrant: 5,
      leaseKeepAlive: 7,
      leaseRevoke: 2,
    });
    switch (kind) {
      case "put":
        return this.#put();
      case "range":
        return this.#range();
      case "deleteRange":
        return this.#deleteRange();
      case "txn":
        return this.#txn();
      case "compact":
        return { kind, revision: Math.max(1, this.revision - this.#random.below(15)) };
      case "leaseGrant":
        return { kind, id: BigInt(1000 + ++this.#leaseCount), ttlMs: 1000 * this.#random.within(1, 9) };
      case "leaseKeepAlive":
      case "leaseRevoke":
        return { kind, id: this.#lease() };
    }
  }

  learn(request: Request, response: Response): void {
    this.revision = Math.max(this.revision, response.revision);
    if (request.kind === "leaseGrant") this.#leases.push(request.id);
    if (response.kind === "range") { for (const kv of response.kvs) this.#seen.set(kv.key, kv); }
    if (response.kind === "txn") {
      for (const part of response.responses) {
        if (part.kind === "range") { for (const kv of part.kvs) this.#seen.set(kv.key, kv); }
      }
    }
  }

  /** One that was granted not long ago, and may have ended since. */
  #lease(): bigint {
    const recent = this.#leases.slice(-6);
    return recent.length === 0 ? 999n : this.#random.pick(recent);
  }

  #key(): string {
    return this.#random.pick(KEYS);
  }

  #put(): PutRequest {
    const hasLease = this.#random.chance(0.2) && this.#leases.length > 0;
    const text = `v${++this.#valueCount}`;
    return {
      kind: "put",
      key: this.#key(),
      value: this.#random.chance(0.05) ? text.padEnd(LARGE_VALUE_SIZE, ".") : text,
      lease: hasLease ? this.#lease() : 0n,
      wantsPrevious: this.#random.chance(0.3),
    };
  }

  #range(): RangeRequest {
    const isWide = this.#random.chance(0.15);
    const isOld = this.#random.chance(0.15);
    return {
      kind: "range",
      key: isWide ? this.#random.pick(["a", "c"]) : this.#key(),
      rangeEnd: isWide ? this.#random.pick(["e", "h", "\0"]) : "",
      revision: isOld ? Math.max(1, this.revision - this.#random.below(12)) : 0,
      limit: isWide && this.#random.chance(0.3) ? 2 : 0,
      isSerializable: this.#random.chance(0.25),
      isCountOnly: isWide && this.#random.chance(0.2),
    };
  }

  #deleteRange(): DeleteRangeRequest {
    const isWide = this.#random.chance(0.15);
    return {
      kind: "deleteRange",
      key: this.#key(),
      rangeEnd: isWide ? "h" : "",
      wantsPrevious: this.#random.chance(0.4),
    };
  }

  #txn(): Request {
    const key = this.#key();
    const compares = this.#random.chance(0.85) ? [this.#compare(key)] : [];
    const read: RangeRequest = {
      kind: "range",
      key,
      rangeEnd: "",
      revision: 0,
      limit: 0,
      isSerializable: false,
      isCountOnly: false,
    };
    const success: TxnOperation[] = this.#random.chance(0.8) ? [{ ...this.#put(), key, lease: 0n }] : [];
    if (this.#random.chance(0.3)) {
      // Another key, since a transaction may not write one twice.
      const other = KEYS[(KEYS.indexOf(key) + 1) % KEYS.length];
      const deletion: DeleteRangeRequest = { kind: "deleteRange", key: other, rangeEnd: "", wantsPrevious: false };
      success.push(this.#random.chance(0.5) ? deletion : { ...this.#put(), key: other, lease: 0n });
    }
    if (success.length === 0 || this.#random.chance(0.3)) success.push(read);
    return { kind: "txn", compares, success, failure: [read] };
  }

  #compare(key: string): Compare {
    const seen = this.#seen.get(key);
    if (seen === undefined) return { key, target: "version", relation: "=", operand: 0 };
    switch (this.#random.below(4)) {
      case 0:
        return { key, target: "value", relation: "=", operand: seen.value };
      case 1:
        return { key, target: "version", relation: ">", operand: this.#random.below(3) };
      case 2:
        return { key, target: "createRevision", relation: "!=", operand: 0 };
      default:
        return { key, target: "modRevision", relation: "=", operand: seen.modRevision };
    }
  }
}
