/**
 * Splits operations on keys into groups that share no key, so that each can be judged on its own: linearizability is
 * local. Keys that one operation touches together, or that one lease holds, belong together.
 */

import type { Compare, TxnOperation } from "../observations.ts";
import { keysInRange } from "./kv_model.ts";
import type { KeyRequest } from "./kv_operation.ts";

export interface WithKeys {
  readonly keys: ReadonlySet<string>;
}

/** The keys that each request touches, of all that are named in any of them. */
export function keysOf(requests: readonly KeyRequest[]): ReadonlySet<string>[] {
  const named = new Set(requests.flatMap(namedKeys));
  return requests.map((request) => new Set(touchedKeys(request, named, requests)));
}

/** Each group in the order of `operations`; those that touch no key at all are in none. */
export function partitionByKeys<Operation extends WithKeys>(operations: readonly Operation[]): Operation[][] {
  const sets = new DisjointSets();
  for (const { keys } of operations) {
    const [first] = keys;
    for (const key of keys) sets.unite(first, key);
  }
  const groups = new Map<string, Operation[]>();
  for (const operation of operations) {
    const [first] = operation.keys;
    if (first === undefined) continue;
    const root = sets.rootOf(first);
    const group = groups.get(root);
    if (group === undefined) groups.set(root, [operation]);
    else group.push(operation);
  }
  return [...groups.values()];
}

/** Keys that may come to exist, or that are asked for one by one. */
function namedKeys(request: KeyRequest): string[] {
  return partsOf(request).filter((part) => !("rangeEnd" in part) || part.rangeEnd === "").map(({ key }) => key);
}

function touchedKeys(request: KeyRequest, keys: ReadonlySet<string>, all: readonly KeyRequest[]): string[] {
  if (request.kind === "leaseRevoke") return all.flatMap((other) => keysPutWith(other, request.id));
  return partsOf(request).flatMap((part) => "rangeEnd" in part ? keysInRange(keys, part.key, part.rangeEnd) : part.key);
}

function keysPutWith(request: KeyRequest, lease: bigint): string[] {
  return partsOf(request).filter((part) => "lease" in part && part.lease === lease).map(({ key }) => key);
}

function partsOf(request: KeyRequest): (TxnOperation | Compare)[] {
  if (request.kind === "leaseRevoke") return [];
  if (request.kind !== "txn") return [request];
  return [...request.compares, ...request.success, ...request.failure];
}

class DisjointSets {
  readonly #parents = new Map<string, string>();

  rootOf(key: string): string {
    let root = key;
    for (let parent = this.#parents.get(root); parent !== undefined; parent = this.#parents.get(root)) root = parent;
    return root;
  }

  unite(a: string, b: string): void {
    const [rootA, rootB] = [this.rootOf(a), this.rootOf(b)];
    if (rootA !== rootB) this.#parents.set(rootB, rootA);
  }
}
