/**
 * Transactions and what is wrong with them before any state is looked at: undefined, or the error's code and text. Every
 * line was also put to etcd 3.7.1, which answered the same.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { utf8 } from "../../src/base/bytes.ts";
import type { CompareSchema, RequestOpSchema, TxnRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";

export type Txn = MessageInitShape<typeof TxnRequestSchema>;
export type Operation = MessageInitShape<typeof RequestOpSchema>;

export function put(key: string, fields: { ignoreValue?: boolean; value?: string } = {}): Operation {
  const value = { key: utf8(key), value: utf8(fields.value ?? ""), ignoreValue: fields.ignoreValue ?? false };
  return { request: { case: "requestPut", value } };
}

export function get(
  key: string,
  fields: { rangeEnd?: string; sortOrder?: number; sortTarget?: number } = {},
): Operation {
  const { rangeEnd = "", sortOrder = 0, sortTarget = 0 } = fields;
  return {
    request: { case: "requestRange", value: { key: utf8(key), rangeEnd: utf8(rangeEnd), sortOrder, sortTarget } },
  };
}

export function remove(key: string, rangeEnd = ""): Operation {
  return { request: { case: "requestDeleteRange", value: { key: utf8(key), rangeEnd: utf8(rangeEnd) } } };
}

export function nested(success: Operation[], failure: Operation[] = [], compare: Txn["compare"] = []): Operation {
  return { request: { case: "requestTxn", value: { compare, success, failure } } };
}

function compares(count: number): MessageInitShape<typeof CompareSchema>[] {
  return Array.from({ length: count }, () => ({ key: utf8("c"), target: 0 }));
}

function puts(count: number): Operation[] {
  return Array.from({ length: count }, (_, i) => put(`p${i}`));
}

const DUPLICATE = "3 etcdserver: duplicate key given in txn request";
const TOO_MANY = "3 etcdserver: too many operations in txn request";
const EMPTY_KEY = "3 etcdserver: key is not provided";
const KEY_NOT_FOUND = "3 etcdserver: key not found";
const SORT = "3 etcdserver: invalid sort option";
const VALUE_PROVIDED = "3 etcdserver: value is provided";

export const REFUSALS: readonly (readonly [text: string, txn: Txn, error: string | undefined])[] = [
  // The same key twice.
  ["two puts of a key", { success: [put("a"), put("a")] }, DUPLICATE],
  ["the same in the other branch", { failure: [put("a"), put("a")] }, DUPLICATE],
  ["a put in either branch", { success: [put("a")], failure: [put("a")] }, undefined],
  ["a put and a deletion", { success: [put("a"), remove("a")] }, DUPLICATE],
  ["a deletion and a put", { success: [remove("a"), put("a")] }, DUPLICATE],
  ["a put within a deleted range", { success: [remove("a", "c"), put("b")] }, DUPLICATE],
  ["a put at the end of a deleted range", { success: [remove("a", "c"), put("c")] }, undefined],
  ["a put before a deleted range", { success: [put("a"), remove("b", "d")] }, undefined],
  ["a put behind a single deleted key", { success: [remove("a"), put("a\0")] }, undefined],
  ["a deletion from a key on, which etcd overlooks", { success: [remove("a", "\0"), put("b")] }, undefined],
  ["a deletion of everything, likewise", { success: [remove("\0", "\0"), put("b")] }, undefined],
  ["deletions that overlap", { success: [remove("a", "d"), remove("b", "e"), remove("a")] }, undefined],
  ["ranges of what is written", { success: [put("a"), get("a"), get("a", { rangeEnd: "z" }), get("a")] }, undefined],
  // The same with transactions in between.
  ["a put inside and one outside", { success: [put("a"), nested([put("a")])] }, DUPLICATE],
  ["the same the other way round", { success: [nested([put("a")]), put("a")] }, DUPLICATE],
  ["a put in the inner failure branch", { success: [put("a"), nested([], [put("a")])] }, DUPLICATE],
  ["puts in both inner branches", { success: [nested([put("a")], [put("a")])] }, undefined],
  ["puts in both inner branches and outside", { success: [nested([put("a")], [put("a")]), put("a")] }, DUPLICATE],
  ["puts in two nested transactions", { success: [nested([put("a")]), nested([put("a")])] }, DUPLICATE],
  ["a put inside and a deletion outside", { success: [remove("a", "c"), nested([put("b")])] }, DUPLICATE],
  ["a deletion behind it", { success: [nested([put("b")]), remove("a", "c")] }, DUPLICATE],
  ["a deletion inside and a put outside", { success: [nested([remove("a", "c")]), put("b")] }, DUPLICATE],
  ["a deletion and a put in two nested ones", { success: [nested([remove("a")]), nested([put("a")])] }, DUPLICATE],
  ["a put and a deletion in two nested ones", { success: [nested([put("a")]), nested([remove("a")])] }, undefined],
  ["deletions inside and outside", { success: [remove("a"), nested([remove("a")])] }, undefined],
  ["a put and a deletion in the two inner branches", { success: [nested([put("a")], [remove("a")])] }, undefined],
  ["a pair three levels down", { success: [put("a"), nested([nested([nested([put("a")])])])] }, DUPLICATE],
  ["a pair inside the branch not looked at first", { failure: [nested([], [put("a"), put("a")])] }, DUPLICATE],
  // Sizes: a level has what the largest list of its parent left.
  ["as many puts as allowed", { success: puts(128) }, undefined],
  ["one more", { success: puts(129) }, TOO_MANY],
  ["too many comparisons", { compare: compares(129) }, TOO_MANY],
  ["many in each list", { compare: compares(128), success: puts(128), failure: puts(128) }, undefined],
  ["a nested list that fits", { success: [nested(puts(127))] }, undefined],
  ["one that does not", { success: [nested(puts(128))] }, TOO_MANY],
  ["less room for what is nested beside many", { compare: compares(100), success: [nested(puts(29))] }, TOO_MANY],
  ["just enough of it", { compare: compares(100), success: [nested(puts(28))] }, undefined],
  ["the third level", { success: [nested([nested(puts(126))])] }, undefined],
  ["too much on it", { success: [nested([nested(puts(127))])] }, TOO_MANY],
  // What each operation is refused for on its own.
  ["a comparison without a key", { compare: [{ key: utf8("") }] }, EMPTY_KEY],
  ["a nested comparison without a key", { success: [nested([], [], [{ key: utf8("") }])] }, EMPTY_KEY],
  ["a put without a key", { success: [put("")] }, EMPTY_KEY],
  ["a deletion without a key", { failure: [remove("")] }, EMPTY_KEY],
  ["a range without a key", { success: [nested([get("")])] }, EMPTY_KEY],
  ["an unknown order", { success: [get("a", { sortOrder: 3 })] }, SORT],
  ["an unknown sort target", { success: [get("a", { sortTarget: 5 })] }, SORT],
  ["a value that is to be ignored", { success: [put("a", { ignoreValue: true, value: "v" })] }, VALUE_PROVIDED],
  ["an operation that is not set", { success: [{}] }, KEY_NOT_FOUND],
  ["one of them nested", { success: [put("a"), nested([{}])] }, KEY_NOT_FOUND],
  ["nothing at all", {}, undefined],
  // Which of two reasons is given.
  ["too many operations, and one without a key", { success: [put(""), ...puts(128)] }, TOO_MANY],
  ["an empty key before a pair", { success: [put("a"), put("a")], failure: [put("")] }, EMPTY_KEY],
];
