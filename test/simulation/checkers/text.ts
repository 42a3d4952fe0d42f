/** Operations and records as people read them. */

import type { Event, KeyValue, Operation, Outcome, Request, TxnOperation } from "../observations.ts";

/** "client 2, 17..25: put k1=v9 -> revision 12". */
export function operationText({ client, request, invoked, outcome }: Operation): string {
  const returned = outcome.kind === "unknown" ? "" : outcome.returned;
  return `client ${client}, ${invoked}..${returned}: ${requestText(request)} -> ${outcomeText(outcome)}`;
}

export function requestText(request: Request): string {
  switch (request.kind) {
    case "txn": {
      const compares = request.compares.map(({ key, target, relation, operand }) =>
        `${target}(${key})${relation}${operand}`
      );
      const branch = (operations: readonly TxnOperation[]) => operations.map(requestText).join(", ");
      return `if ${compares.join(" and ") || "nothing"} then [${branch(request.success)}] else [${
        branch(request.failure)
      }]`;
    }
    case "put":
      return `put ${request.key}=${request.value}${request.lease === 0n ? "" : ` lease ${request.lease}`}`;
    case "range": {
      const at = request.revision === 0 ? "" : ` at revision ${request.revision}`;
      return `${request.isSerializable ? "serializable " : ""}range ${rangeText(request)}${at}`;
    }
    case "deleteRange":
      return `delete ${rangeText(request)}`;
    case "compact":
      return `compact ${request.revision}`;
    case "leaseGrant":
      return `grant lease ${request.id} for ${request.ttlMs} ms`;
    case "leaseRevoke":
      return `revoke lease ${request.id}`;
    case "leaseKeepAlive":
      return `keep lease ${request.id} alive`;
  }
}

function rangeText({ key, rangeEnd }: { key: string; rangeEnd: string }): string {
  return rangeEnd === "" ? key : `[${key}, ${rangeEnd === "\0" ? "end" : rangeEnd})`;
}

function outcomeText(outcome: Outcome): string {
  if (outcome.kind === "unknown") return "unknown";
  if (outcome.kind === "refused") return `refused: ${outcome.error}`;
  const { response } = outcome;
  const at = `revision ${response.revision}`;
  if (response.kind === "txn") return `${response.succeeded ? "succeeded" : "failed"}, ${at}`;
  if (response.kind === "range") return `${response.count} found [${response.kvs.map(recordText).join(" ")}], ${at}`;
  if (response.kind === "deleteRange") return `${response.deleted} deleted, ${at}`;
  return at;
}

/** "k1=v9@12" with the revision that wrote it. */
export function recordText({ key, value, modRevision }: KeyValue): string {
  return `${key}=${value}@${modRevision}`;
}

export function eventText(event: Event): string {
  return event.kind === "put" ? `put ${recordText(event.kv)}` : `delete ${event.key}`;
}
