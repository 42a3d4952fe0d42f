/** Compares what the model predicts with what a member answered. The revisions in headers are the callers' to judge. */

import type { Event, KeyValue, KvResponse, Response } from "../observations.ts";
import { type Records, UNKNOWN_REVISION } from "./kv_model.ts";

export function isKvResponse(response: Response): response is KvResponse {
  return ["range", "put", "deleteRange", "txn"].includes(response.kind);
}

/** Whether `actual` may be the response that `predicted` describes; a revision that is not known may be any. */
export function responsesMatch(predicted: KvResponse, actual: KvResponse): boolean {
  switch (predicted.kind) {
    case "range":
      return actual.kind === "range" && predicted.count === actual.count && predicted.more === actual.more &&
        listsMatch(predicted.kvs, actual.kvs);
    case "put":
      return actual.kind === "put" && optionsMatch(predicted.previous, actual.previous);
    case "deleteRange":
      return actual.kind === "deleteRange" && predicted.deleted === actual.deleted &&
        listsMatch(predicted.previous, actual.previous);
    case "txn":
      return actual.kind === "txn" && predicted.succeeded === actual.succeeded &&
        predicted.responses.length === actual.responses.length &&
        predicted.responses.every((response, at) => responsesMatch(response, actual.responses[at]));
  }
}

export function eventsMatch(predicted: readonly Event[], actual: readonly Event[]): boolean {
  return predicted.length === actual.length && predicted.every((event, at) => {
    const other = actual[at];
    if (event.kind === "delete") return other.kind === "delete" && event.key === other.key;
    return other.kind === "put" && recordsMatch(event.kv, other.kv);
  });
}

export function optionsMatch(predicted: KeyValue | undefined, actual: KeyValue | undefined): boolean {
  if (predicted === undefined || actual === undefined) return predicted === actual;
  return recordsMatch(predicted, actual);
}

function listsMatch(predicted: readonly KeyValue[], actual: readonly KeyValue[]): boolean {
  return predicted.length === actual.length && predicted.every((record, at) => recordsMatch(record, actual[at]));
}

function recordsMatch(predicted: KeyValue, actual: KeyValue): boolean {
  return predicted.key === actual.key && predicted.value === actual.value && predicted.version === actual.version &&
    predicted.lease === actual.lease && revisionsMatch(predicted.createRevision, actual.createRevision) &&
    revisionsMatch(predicted.modRevision, actual.modRevision);
}

function revisionsMatch(predicted: number, actual: number): boolean {
  return predicted === actual || predicted === UNKNOWN_REVISION;
}

/** The records with the revisions that a response, which matched, has shown. */
export function learn(records: Records, predicted: KvResponse, actual: KvResponse): Records {
  const shown = recordsOf(predicted);
  if (!shown.some(isUncertain)) return records;
  const learned = new Map(records);
  const actuals = recordsOf(actual);
  for (let at = 0; at < shown.length; at++) {
    // A record that the same request has overwritten is of no interest any more.
    if (learned.get(shown[at].key) === shown[at]) learned.set(shown[at].key, actuals[at]);
  }
  return learned;
}

function isUncertain({ createRevision, modRevision }: KeyValue): boolean {
  return createRevision === UNKNOWN_REVISION || modRevision === UNKNOWN_REVISION;
}

/** Every record that a response shows, in order. */
export function recordsOf(response: KvResponse): readonly KeyValue[] {
  switch (response.kind) {
    case "range":
      return response.kvs;
    case "put":
      return response.previous === undefined ? [] : [response.previous];
    case "deleteRange":
      return response.previous;
    case "txn":
      return response.responses.flatMap(recordsOf);
  }
}
