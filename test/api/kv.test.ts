import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import {
  KV,
  RangeRequest_SortOrder as Order,
  RangeRequest_SortTarget as Target,
  type RangeResponse,
} from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { startUnary } from "../../src/io/rpc_local.ts";
import { TestMember } from "../harness/member.ts";

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const FUTURE = "11 etcdserver: mvcc: required revision is a future revision";
const EVERYTHING = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

function texts({ kvs }: RangeResponse): string {
  return kvs.map((kv) => `${utf8Text(kv.key)}=${utf8Text(kv.value)}`).join(" ");
}

async function put(server: TestMember, ...pairs: string[]): Promise<void> {
  for (const pair of pairs) {
    const [key, value] = pair.split("=");
    await server.call(KV.method.put, { key: utf8(key), value: utf8(value) });
  }
}

describe("a response's header", () => {
  test("names cluster, member, term and the revision after a write", async () => {
    const server = await TestMember.start();
    const { header } = await server.call(KV.method.put, { key: utf8("a") });
    const { id, clusterId, raftTerm } = server.member;
    expect(header).toMatchObject({ clusterId, memberId: id, raftTerm: BigInt(raftTerm), revision: 2n });
  });

  test("of a range has the store's revision, whatever revision was read", async () => {
    const server = await TestMember.start();
    await put(server, "a=1", "a=2");
    const response = await server.call(KV.method.range, { key: utf8("a"), revision: 2n });
    expect(response.header!.revision).toBe(3n);
    expect(texts(response)).toBe("a=1");
  });

  test("of what changes nothing has the current revision", async () => {
    const server = await TestMember.start();
    await put(server, "a=1");
    const { header, deleted } = await server.call(KV.method.deleteRange, { key: utf8("nowhere") });
    expect([header!.revision, deleted]).toEqual([2n, 0n]);
  });
});

describe("a range", () => {
  const CASES: [text: string, request: Parameters<TestMember["call"]>[1] & object, expected: string][] = [
    ["of a key", { key: utf8("b") }, "b=2 of 1"],
    ["of a key that is not there", { key: utf8("x") }, " of 0"],
    ["of a few keys", { key: utf8("b"), rangeEnd: utf8("d") }, "b=2 c=1 of 2"],
    ["from a key on", { key: utf8("c"), rangeEnd: utf8("\0") }, "c=1 d=0 of 2"],
    ["that ends before it begins", { key: utf8("d"), rangeEnd: utf8("a") }, " of 0"],
    ["with a limit", { ...EVERYTHING, limit: 2n }, "a=3 b=2 of 4 more"],
    ["with a limit that is not reached", { ...EVERYTHING, limit: 4n }, "a=3 b=2 c=1 d=0 of 4"],
    ["with a negative limit", { ...EVERYTHING, limit: -1n }, "a=3 b=2 c=1 d=0 of 4"],
    ["with the smallest limit there is", { ...EVERYTHING, limit: INT64_MIN }, "a=3 b=2 c=1 d=0 of 4"],
    ["with the largest limit there is", { ...EVERYTHING, limit: INT64_MAX }, "a=3 b=2 c=1 d=0 of 4"],
    ["at a negative revision, which is the newest", { ...EVERYTHING, limit: 1n, revision: INT64_MIN }, "a=3 of 4 more"],
    ["sorted by value", { ...EVERYTHING, sortTarget: Target.VALUE, sortOrder: Order.ASCEND }, "d=0 c=1 b=2 a=3 of 4"],
    [
      "sorted by value, the largest first, with a limit",
      { ...EVERYTHING, sortTarget: Target.VALUE, sortOrder: Order.DESCEND, limit: 1n },
      "a=3 of 4 more",
    ],
    ["by key backwards", { ...EVERYTHING, sortTarget: Target.KEY, sortOrder: Order.DESCEND }, "d=0 c=1 b=2 a=3 of 4"],
    ["of what changed since", { ...EVERYTHING, minModRevision: 4n }, "c=1 d=0 of 4"],
    ["of what has not changed since", { ...EVERYTHING, maxModRevision: 3n, limit: 1n }, "a=3 of 4 more"],
    ["of what was created at", { ...EVERYTHING, minCreateRevision: 3n, maxCreateRevision: 3n }, "b=2 of 4"],
    ["that counts only", { ...EVERYTHING, countOnly: true, limit: 1n }, " of 4"],
    ["of keys only", { key: utf8("b"), keysOnly: true }, "b= of 1"],
  ];

  test.each(CASES)("%s", async (_text, request, expected) => {
    const server = await TestMember.start();
    await put(server, "a=3", "b=2", "c=1", "d=0");
    const response = await server.call(KV.method.range, request);
    expect(`${texts(response)} of ${response.count}${response.more ? " more" : ""}`).toBe(expected);
  });

  const ERRORS: [text: string, request: Parameters<TestMember["call"]>[1] & object, error: string][] = [
    ["no key", {}, "3 etcdserver: key is not provided"],
    ["an unknown order", { ...EVERYTHING, sortOrder: 9 }, "3 etcdserver: invalid sort option"],
    ["an unknown target", { ...EVERYTHING, sortTarget: -1 }, "3 etcdserver: invalid sort option"],
    ["a future revision", { ...EVERYTHING, revision: 6n }, FUTURE],
    ["the largest revision there is", { ...EVERYTHING, revision: INT64_MAX }, FUTURE],
    [
      "a compacted revision",
      { ...EVERYTHING, revision: 2n },
      "11 etcdserver: mvcc: required revision has been compacted",
    ],
    ["the revision that was compacted last", { ...EVERYTHING, revision: 3n }, "no error"],
  ];

  test.each(ERRORS)("with %s is answered as by etcd", async (_text, request, error) => {
    const server = await TestMember.start();
    await put(server, "a=3", "b=2", "c=1", "d=0");
    await server.call(KV.method.compact, { revision: 3n });
    expect(await server.errorOf(KV.method.range, request)).toBe(error);
  });
});

describe("a write", () => {
  test("is refused without a state being looked at", async () => {
    const server = await TestMember.start();
    const key = utf8("a");
    const errors = [
      await server.errorOf(KV.method.put, {}),
      await server.errorOf(KV.method.put, { key, value: utf8("v"), ignoreValue: true }),
      await server.errorOf(KV.method.put, { key, lease: 1n, ignoreLease: true }),
      await server.errorOf(KV.method.deleteRange, {}),
      await server.errorOf(KV.method.put, { key, value: new Uint8Array(2 * 1024 * 1024) }),
    ];
    expect(errors).toEqual([
      "3 etcdserver: key is not provided",
      "3 etcdserver: value is provided",
      "3 etcdserver: lease is provided",
      "3 etcdserver: key is not provided",
      "3 etcdserver: request is too large",
    ]);
    expect(server.member.keyspace.store.revision).toBe(1);
  });

  test("fails with etcd's texts when it is applied", async () => {
    const server = await TestMember.start();
    const key = utf8("a");
    const errors = [
      await server.errorOf(KV.method.put, { key, lease: INT64_MIN }),
      await server.errorOf(KV.method.put, { key, ignoreValue: true }),
      await server.errorOf(KV.method.compact, { revision: INT64_MAX }),
      await server.errorOf(KV.method.compact, { revision: 1n }),
      await server.errorOf(KV.method.compact, { revision: 1n }),
      await server.errorOf(KV.method.compact, { revision: INT64_MIN }),
    ];
    expect(errors).toEqual([
      "5 etcdserver: requested lease not found",
      "3 etcdserver: key not found",
      FUTURE,
      "no error",
      "11 etcdserver: mvcc: required revision has been compacted",
      "11 etcdserver: mvcc: required revision has been compacted",
    ]);
  });

  test("gives the previous record when asked", async () => {
    const server = await TestMember.start();
    await put(server, "a=1");
    const { prevKv } = await server.call(KV.method.put, { key: utf8("a"), value: utf8("2"), prevKv: true });
    expect(prevKv).toMatchObject({ value: utf8("1"), modRevision: 2n, version: 1n });
    const { prevKvs } = await server.call(KV.method.deleteRange, { key: utf8("a"), prevKv: true });
    expect(prevKvs).toMatchObject([{ value: utf8("2"), createRevision: 2n, version: 2n }]);
  });
});

test("a request that is no protobuf is answered as by grpc-go", async () => {
  const server = await TestMember.start();
  const errors: string[] = [];
  for (const method of server.methods.values()) {
    if (method.kind !== "unary" || !method.path.startsWith("/etcdserverpb.KV/")) continue;
    const { response } = startUnary(method, Uint8Array.of(0x0a, 0x7f, 0x01));
    const error = await response.then(() => undefined, (reason) => reason as RpcError);
    errors.push(`${method.path.slice(17)} ${error?.code} ${error?.message}`);
  }
  const text = "13 grpc: error unmarshalling request: proto: cannot parse invalid wire-format data";
  expect(errors).toEqual(["Range", "Put", "DeleteRange", "Txn", "Compact"].map((name) => `${name} ${text}`));
});

describe("a large response", () => {
  async function withLargeContent(budget?: number): Promise<TestMember> {
    const server = await TestMember.start({ budget });
    const value = new Uint8Array(1000).fill(7);
    const calls = Array.from(
      { length: 2000 },
      (_, i) => server.startCall(KV.method.put, { key: utf8(`key${String(i).padStart(5, "0")}`), value }).response,
    );
    await server.clock.run(Promise.all(calls));
    return server;
  }

  test("is complete, and lets go of what it held", async () => {
    const server = await withLargeContent();
    const response = await server.call(KV.method.range, EVERYTHING);
    expect(response.kvs.length).toBe(2000);
    expect(response.count).toBe(2000n);
    const { prevKvs, deleted } = await server.call(KV.method.deleteRange, { ...EVERYTHING, prevKv: true });
    expect([prevKvs.length, deleted]).toEqual([2000, 2000n]);
    expect(prevKvs[1234].value.length).toBe(1000);
    expect(server.budget.used).toBe(0);
  });

  test("as a stream of chunks holds the same", async () => {
    const server = await withLargeContent();
    const whole = await server.call(KV.method.range, { ...EVERYTHING, limit: 1500n });
    const stream = server.stream(KV.method.rangeStream, { ...EVERYTHING, limit: 1500n });
    const kvs: unknown[] = [];
    let chunkCount = 0;
    let last: RangeResponse | undefined;
    for (let message = await stream.next(); message !== undefined; message = await stream.next()) {
      expect(last?.header).toBeUndefined();
      last = message.rangeResponse!;
      kvs.push(...last.kvs);
      chunkCount++;
    }
    expect(chunkCount).toBeGreaterThan(3);
    expect(kvs).toEqual(whole.kvs);
    expect(last).toMatchObject({ count: whole.count, more: true, header: { revision: whole.header!.revision } });
    expect(server.budget.used).toBe(0);
  });

  test("is refused when too much of them is held already", async () => {
    const server = await withLargeContent(1000);
    const error = await server.errorOf(KV.method.range, EVERYTHING);
    expect(error).toStartWith("8 keelson: too much response data");
    expect(server.budget.used).toBe(0);
    expect(await server.errorOf(KV.method.range, { key: utf8("key00000") })).toBe("no error");
  });

  test("that nobody wants any more lets go of what it held", async () => {
    const server = await withLargeContent();
    const { call, response } = server.startCall(KV.method.range, {
      ...EVERYTHING,
      sortTarget: Target.VALUE,
      sortOrder: Order.DESCEND,
    });
    call.cancel(new RpcError(Code.CANCELED, "context canceled"));
    expect(await response.then(() => "answered", (reason) => (reason as RpcError).message)).toBe("context canceled");
    await server.clock.settle();
    expect(server.budget.used).toBe(0);
  });
});

test("a physical compaction answers when its deletions are done", async () => {
  const server = await TestMember.start({ member: { compactionBatchLimit: 10, compactionSleepMs: 100 } });
  for (let i = 0; i < 100; i++) await put(server, `a=${i}`);
  let isAnswered = false;
  const { response } = server.startCall(KV.method.compact, { revision: 100n, physical: true });
  response.then(() => isAnswered = true);
  await server.clock.advance(300);
  expect(isAnswered).toBe(false);
  expect(await server.errorOf(KV.method.range, { key: utf8("a"), revision: 99n })).toStartWith("11 etcdserver: mvcc");
  await server.clock.advance(2000);
  expect(isAnswered).toBe(true);
});

test("everything is there after a restart", async () => {
  const server = await TestMember.start();
  await put(server, "a=1", "b=1", "a=2");
  await server.call(KV.method.deleteRange, { key: utf8("b") });
  await server.call(KV.method.compact, { revision: 3n });
  const again = await server.restart();
  expect(texts(await again.call(KV.method.range, EVERYTHING))).toBe("a=2");
  expect(await again.errorOf(KV.method.range, { ...EVERYTHING, revision: 2n })).toStartWith("11 etcdserver: mvcc");
  const { header } = await again.call(KV.method.put, { key: utf8("c") });
  expect(header!.revision).toBe(6n);
  expect(server.clock.timerCount).toBe(0);
});
