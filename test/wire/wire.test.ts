import { describe, expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { InternalRaftRequestSchema } from "../../src/gen/etcdserverpb/raft_internal_pb.ts";
import { PutRequestSchema, RangeRequestSchema, TxnRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { CLAMP_MAX } from "../../src/base/limits.ts";
import {
  decodePutRequest,
  decodeRaftRequest,
  decodeRangeRequest,
  decodeTxnRequest,
  DepthError,
  encodeRaftRequest,
  Parts,
  RaftOperation,
  txnDepth,
} from "../../src/wire/mod.ts";

const INT64_MAX = 9223372036854775807n;
const INT64_MIN = -9223372036854775808n;

describe("requests", () => {
  test("a range request reads as generated code writes it, int64 extremes clamped", () => {
    const bytes = toBinary(
      RangeRequestSchema,
      create(RangeRequestSchema, {
        key: utf8("a"),
        rangeEnd: utf8("b"),
        limit: INT64_MAX,
        revision: INT64_MIN,
        sortOrder: 2,
        sortTarget: 4,
        serializable: true,
        keysOnly: true,
        countOnly: true,
        minModRevision: 1n,
        maxModRevision: -1n,
        minCreateRevision: 3n,
        maxCreateRevision: 4n,
      }),
    );
    expect(decodeRangeRequest(bytes)).toEqual({
      key: utf8("a"),
      rangeEnd: utf8("b"),
      limit: CLAMP_MAX,
      revision: -CLAMP_MAX,
      sortOrder: 2,
      sortTarget: 4,
      serializable: true,
      keysOnly: true,
      countOnly: true,
      minModRevision: 1,
      maxModRevision: -1,
      minCreateRevision: 3,
      maxCreateRevision: 4,
    });
  });

  test("a put keeps its lease exact", () => {
    for (const lease of [0n, 1n, -1n, INT64_MAX, INT64_MIN, 7587890012341234567n]) {
      const bytes = toBinary(PutRequestSchema, create(PutRequestSchema, { key: utf8("k"), value: utf8("v"), lease }));
      expect(decodePutRequest(bytes).lease).toBe(lease);
    }
  });

  test("a transaction reads compares, nested operations and an operation that is not set", () => {
    const bytes = toBinary(
      TxnRequestSchema,
      create(TxnRequestSchema, {
        compare: [{ key: utf8("c"), target: 3, result: 1, targetUnion: { case: "value", value: utf8("x") } }, {
          key: utf8("d"),
          rangeEnd: utf8("e"),
          target: 4,
          targetUnion: { case: "lease", value: INT64_MIN },
        }],
        success: [{ request: { case: "requestPut", value: { key: utf8("p") } } }, {}],
        failure: [{
          request: {
            case: "requestTxn",
            value: { success: [{ request: { case: "requestDeleteRange", value: { key: utf8("q") } } }] },
          },
        }],
      }),
    );
    const txn = decodeTxnRequest(bytes);
    expect(txn.compare[0]).toMatchObject({ union: 3, value: utf8("x"), result: 1 });
    expect(txn.compare[1]).toMatchObject({ union: 4, lease: INT64_MIN, rangeEnd: utf8("e") });
    expect(txn.success.map((op) => op.kind)).toEqual(["put", "none"]);
    const nested = txn.failure[0];
    expect(nested.kind === "txn" && nested.txn.success[0].kind).toBe("delete");
  });

  test("transactions nested too deeply for decoding are still counted", () => {
    const nest = (levels: number): Uint8Array => {
      let txn: Uint8Array = new Uint8Array(0);
      for (let i = 0; i < levels; i++) {
        const operation = new WireWriter();
        operation.messageField(4, txn);
        const outer = new WireWriter();
        outer.messageField(i % 2 === 0 ? 2 : 3, operation.finish());
        txn = outer.finish();
      }
      return txn;
    };
    for (const levels of [0, 1, 7, 1000]) {
      decodeTxnRequest(nest(levels));
      expect(txnDepth(nest(levels))).toBe(levels);
    }
    expect(() => decodeTxnRequest(nest(1001))).toThrow(DepthError);
    expect(txnDepth(nest(6000))).toBe(6000);
  });

  test("refuses truncated input", () => {
    const bytes = toBinary(PutRequestSchema, create(PutRequestSchema, { key: utf8("key"), value: utf8("value") }));
    expect(() => decodePutRequest(bytes.subarray(0, bytes.length - 1))).toThrow("unexpected end");
  });
});

describe("log entries", () => {
  test("are what generated code reads, for ids of every size", () => {
    for (const member of [0, 1, 127, 255, 40000, 65535]) {
      for (const sequence of [1, 127, 128, 2 ** 31, 2 ** 42 - 1, 2 ** 42, 2 ** 47 + 12345, 2 ** 48 - 1]) {
        const put = toBinary(PutRequestSchema, create(PutRequestSchema, { key: utf8("k"), value: utf8("v") }));
        const bytes = encodeRaftRequest(RaftOperation.PUT, put, { member, sequence });
        const message = fromBinary(InternalRaftRequestSchema, bytes);
        expect(message.header?.ID).toBe((BigInt(member) << 48n) | BigInt(sequence));
        expect(utf8Text(message.put!.key)).toBe("k");
        expect(bytes).toEqual(toBinary(InternalRaftRequestSchema, message));
        const decoded = decodeRaftRequest(bytes);
        expect(decoded).toMatchObject({ operation: RaftOperation.PUT, member, sequence });
        expect(decoded.body).toEqual(put);
        expect(decoded).toMatchObject({ username: "", authRevision: 0 });
      }
    }
  });

  test("say on whose behalf they are", () => {
    const ID = (0xabcdn << 48n) | 5n;
    for (const header of [{ ID, username: "ann", authRevision: 300n }, { username: "ann", authRevision: 300n }]) {
      const message = create(InternalRaftRequestSchema, { header, put: { key: utf8("k") } });
      const decoded = decodeRaftRequest(toBinary(InternalRaftRequestSchema, message));
      expect(decoded).toMatchObject({ operation: RaftOperation.PUT, username: "ann", authRevision: 300 });
      expect([decoded.member, decoded.sequence]).toEqual(header.ID === undefined ? [0, 0] : [0xabcd, 5]);
    }
  });

  test("name every operation that there is in etcd 3.7", () => {
    const numbers = InternalRaftRequestSchema.fields
      .filter((field) => field.fieldKind === "message" && field.localName !== "header")
      .map((field) => field.number);
    expect(Object.values<number>(RaftOperation).sort((a, b) => a - b)).toEqual([RaftOperation.V2, ...numbers]);
  });
});

describe("a response in parts", () => {
  test("reads the same bytes whatever the portions", () => {
    for (const portion of [1, 2, 3, 5, 100]) {
      let closed = 0;
      const source = (text: string) => {
        const bytes = utf8(text);
        let offset = 0;
        return {
          size: bytes.length,
          read(target: Uint8Array) {
            const count = Math.min(target.length, bytes.length - offset, 2);
            target.set(bytes.subarray(offset, offset + count));
            offset += count;
            return count;
          },
          close: () => void closed++,
        };
      };
      const parts = new Parts([utf8("ab"), source("cdefg"), utf8(""), source(""), utf8("h")]);
      expect(parts.size).toBe(8);
      let text = "";
      while (text.length < parts.size) {
        const target = new Uint8Array(portion);
        text += utf8Text(target.subarray(0, parts.read(target)));
      }
      expect(text).toBe("abcdefgh");
      parts.close();
      parts.close();
      expect(closed).toBe(2);
    }
  });
});
