/** Random observations of a store that makes no mistakes: clients at the same time, answers that never come, leases. */

import { SimulatedRandom } from "../../harness/simulated_disk.ts";
import type { Observations, Operation, Request, TxnOperation } from "../observations.ts";
import { del, get, grant, put, Scribe } from "./scribe.ts";

export interface RandomHistoryOptions {
  readonly seed: number;
  readonly clients: number;
  readonly operations: number;
  readonly keys: number;
  /** How many of a hundred answers never come. */
  readonly unknownPercent: number;
}

/** A client and what it is doing. */
interface Client {
  readonly id: number;
  operation: Operation | undefined;
  isExecuted: boolean;
}

const LEASES = 3;

export function randomHistory(options: RandomHistoryOptions): Observations {
  const { seed, operations, keys, unknownPercent } = options;
  const random = new SimulatedRandom(seed);
  const scribe = new Scribe();
  const watcher = scribe.watch("k", "l", 0, { wantsPrevious: true });
  for (let id = 1; id <= LEASES; id++) scribe.do(0, grant(BigInt(id), 60_000));
  const leases = new Set([1n, 2n, 3n]);
  const clients: Client[] = Array.from({ length: options.clients }, (_, id) => newClient(id));
  const requests = new RequestSource(random, keys, leases, scribe);
  /** Operations whose clients have given up; each may still take effect. */
  const abandoned: Operation[] = [];
  while (scribe.observations.operations.length < operations) {
    if (abandoned.length > 0 && random.below(20) === 0) {
      const [operation] = abandoned.splice(random.below(abandoned.length), 1);
      if (requests.isPossible(operation.request)) scribe.execute(operation);
    }
    const client = clients[random.below(clients.length)];
    if (client.operation === undefined) {
      client.operation = scribe.begin(client.id, requests.next());
      client.isExecuted = false;
      continue;
    }
    const { operation } = client;
    const isUnknown = random.below(100) < unknownPercent && operation.request.kind !== "range";
    if (!client.isExecuted && isUnknown) {
      abandoned.push(operation);
      client.operation = undefined;
    } else if (!client.isExecuted && !requests.isPossible(operation.request)) {
      const returned = scribe.moment();
      operation.outcome = { kind: "refused", returned, returnedMs: 0, error: "etcdserver: requested lease not found" };
      client.operation = undefined;
    } else if (!client.isExecuted) {
      scribe.execute(operation);
      client.isExecuted = true;
    } else {
      if (!isUnknown) scribe.answer(operation);
      client.operation = undefined;
    }
    if (leases.size > 1 && random.below(operations) === 0) {
      const [lease] = leases;
      leases.delete(lease);
      scribe.ms = 60_500;
      scribe.expire(lease);
    }
  }
  scribe.send(watcher, 2);
  return scribe.end();
}

function newClient(id: number): Client {
  return { id, operation: undefined, isExecuted: false };
}

class RequestSource {
  readonly #random: SimulatedRandom;
  readonly #keys: number;
  readonly #leases: ReadonlySet<bigint>;
  readonly #scribe: Scribe;
  #values = 0;

  constructor(random: SimulatedRandom, keys: number, leases: ReadonlySet<bigint>, scribe: Scribe) {
    this.#random = random;
    this.#keys = keys;
    this.#leases = leases;
    this.#scribe = scribe;
  }

  /** False for a put with a lease that has ended since. */
  isPossible(request: Request): boolean {
    const puts = request.kind === "txn" ? [...request.success, ...request.failure] : [request];
    return puts.every((part) => part.kind !== "put" || part.lease === 0n || this.#leases.has(part.lease));
  }

  next(): Request {
    switch (this.#random.below(8)) {
      case 0:
      case 1:
      case 2:
        return this.#put();
      case 3:
        return { ...del(this.#key()), wantsPrevious: true };
      case 4:
        return this.#txn();
      case 5:
        return { ...get("k", "l"), limit: this.#random.below(4) };
      case 6: {
        const revision = this.#random.below(this.#scribe.revision) + 1;
        return { ...get(this.#key()), revision };
      }
      default:
        return get(this.#key());
    }
  }

  #txn(): Request {
    const key = this.#key();
    const other = this.#key();
    const success: TxnOperation[] = [this.#put(key), get("k", "l")];
    if (other !== key) success.push(del(other));
    const failure = this.#random.below(2) === 0 ? [get(key)] : [this.#put(other)];
    const revision = this.#random.below(this.#scribe.revision + 1);
    const compares = [{ key, target: "modRevision", relation: "<", operand: revision }] as const;
    return { kind: "txn", compares, success, failure };
  }

  #put(key = this.#key()): Request & { kind: "put" } {
    const lease = this.#random.below(5) === 0 ? BigInt(this.#random.below(LEASES) + 1) : 0n;
    return { ...put(key, `v${++this.#values}`, lease), wantsPrevious: this.#random.below(2) === 0 };
  }

  #key(): string {
    return `k${this.#random.below(this.#keys)}`;
  }
}
