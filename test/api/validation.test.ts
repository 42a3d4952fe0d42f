import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "bun:test";
import { checkTxn } from "../../src/api/validation.ts";
import { TxnRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { decodeTxnRequest } from "../../src/wire/mod.ts";
import { REFUSALS } from "./refusals.ts";

const OPERATIONS_MAX = 128;

describe("a transaction is judged as by etcd for", () => {
  test.each(REFUSALS)("%s", (_text, txn, error) => {
    const request = decodeTxnRequest(toBinary(TxnRequestSchema, create(TxnRequestSchema, txn)));
    const objection = checkTxn(request, OPERATIONS_MAX);
    expect(objection && `${objection.code} ${objection.message}`).toBe(error);
  });
});
