import { expect, test } from "bun:test";
import type { Observations, Response } from "../observations.ts";
import { checkAll, violationsOf } from "./all.ts";
import { randomHistory } from "./random_history.ts";

const TOLERANCE = { clockDrift: 0, revokeMs: 1000, extensionMs: 1000 };
const SEEDS = [1, 2, 3, 4];

function history(seed: number): Observations {
  return randomHistory({ seed, clients: 8, operations: 300, keys: 6, unknownPercent: 10 });
}

function violations(observations: Observations): string[] {
  return violationsOf(checkAll(observations, TOLERANCE));
}

test("a store that makes no mistakes is found to make none, without any search", () => {
  for (const seed of SEEDS) {
    const reports = checkAll(history(seed), TOLERANCE);
    expect(violationsOf(reports)).toEqual([]);
    const { judged } = reports.get("linearizability")!;
    expect(judged.steps).toBe(judged.operations);
    expect(reports.get("revisions")!.judged["outcomes resolved"]).toBeGreaterThan(0);
  }
});

/** Each makes one thing wrong, somewhere in the middle. */
const MISTAKES: Record<string, (observations: Observations) => void> = {
  "an answer at another revision": (observations) => {
    changeAnswer(observations, "put", (response) => ({ ...response, revision: response.revision + 1 }));
  },
  "a read that misses a key": (observations) => {
    changeAnswer(
      observations,
      "range",
      (response) =>
        response.kind === "range" && response.kvs.length > 0
          ? { ...response, kvs: response.kvs.slice(1), count: response.count - 1 }
          : undefined,
    );
  },
  "a read that shows another value": (observations) => {
    changeAnswer(
      observations,
      "range",
      (response) =>
        response.kind === "range" && response.kvs.length > 0
          ? { ...response, kvs: [{ ...response.kvs[0], value: "wrong" }, ...response.kvs.slice(1)] }
          : undefined,
    );
  },
  "a transaction that took the other branch": (observations) => {
    changeAnswer(
      observations,
      "txn",
      (response) => response.kind === "txn" ? { ...response, succeeded: !response.succeeded } : undefined,
    );
  },
  "a deletion that counts one more": (observations) => {
    changeAnswer(
      observations,
      "deleteRange",
      (response) => response.kind === "deleteRange" ? { ...response, deleted: response.deleted + 1 } : undefined,
    );
  },
  "a revision that lost an event": ({ applied }) => {
    const at = applied.findIndex(({ events, revision }) => events.length > 1 && revision > 20);
    applied[at] = { ...applied[at], events: applied[at].events.slice(1) };
  },
  "a watcher that lost a response": ({ watches }) => void watches[0].responses.splice(20, 1),
  "a watcher that got a response twice": ({ watches }) =>
    void watches[0].responses.splice(20, 0, watches[0].responses[20]),
};

for (const [mistake, make] of Object.entries(MISTAKES)) {
  test(`${mistake} is found in any history`, () => {
    for (const seed of SEEDS) {
      const observations = history(seed);
      make(observations);
      expect(violations(observations)).not.toEqual([]);
    }
  });
}

function changeAnswer(
  { operations }: Observations,
  kind: Response["kind"],
  change: (response: Response) => Response | undefined,
): void {
  for (const operation of operations.slice(50)) {
    if (operation.request.kind !== kind || operation.outcome.kind !== "answered") continue;
    const response = change(operation.outcome.response);
    if (response === undefined) continue;
    operation.outcome = { ...operation.outcome, response };
    return;
  }
  throw new Error(`no ${kind} to spoil`);
}
