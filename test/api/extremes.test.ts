import { type DescMessage, type DescMethod, ScalarType } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { serviceDescriptors } from "../../src/api/mod.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { WireWriter } from "../../src/base/varint.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { startUnary } from "../../src/io/rpc_local.ts";
import { TestMember } from "../harness/member.ts";
import { SimulatedRandom } from "../harness/simulated_disk.ts";

const CANCELED = new RpcError(Code.CANCELED, "context canceled");

/** Numbers at the edges of what fits anywhere, and a few that mean something. */
const INTEGERS = [
  ...[-2n, -1n, 0n, 1n, 2n, 3n, 5n, 10n, 100n],
  ...[31n, 32n, 53n, 62n, 63n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits, -(2n ** bits), -(2n ** bits) - 1n]),
];
const KEYS = ["", "\0", "a", "b", "c", "a\0", "b/1", "\xff", "longer/key"].map(utf8);

/** A message of the type with fields of random value, unknown enum numbers and numbers beyond their type included. */
function randomMessage(random: SimulatedRandom, desc: DescMessage, depth = 0): Uint8Array {
  const writer = new WireWriter();
  const oneofs = new Set<string>();
  for (const field of desc.fields) {
    if (random.chance(0.4)) continue;
    // Of a union mostly one member, sometimes several.
    if (field.oneof !== undefined && oneofs.has(field.oneof.name) && random.chance(0.9)) continue;
    if (field.oneof !== undefined) oneofs.add(field.oneof.name);
    for (let count = field.fieldKind === "list" ? random.below(4) : 1; count > 0; count--) {
      const message = field.message;
      if (message !== undefined) {
        if (depth < 6) writer.messageField(field.number, randomMessage(random, message, depth + 1));
      } else if (field.scalar === ScalarType.BYTES || field.scalar === ScalarType.STRING) {
        writer.messageField(field.number, KEYS[random.below(KEYS.length)]);
      } else {
        const value = random.chance(0.6) ? BigInt(random.below(8)) : INTEGERS[random.below(INTEGERS.length)];
        writer.integer64Field(field.number, BigInt.asIntN(64, value));
      }
    }
  }
  return writer.finish();
}

/** As a client with a fault, or malice, might send it. */
function corrupted(random: SimulatedRandom, message: Uint8Array): Uint8Array {
  const bytes = message.slice(0, random.chance(0.3) ? random.below(message.length + 1) : message.length);
  for (let count = random.below(4); count > 0 && bytes.length > 0; count--) {
    bytes[random.below(bytes.length)] = random.below(256);
  }
  return bytes;
}

/** Every unary method but the one that forbids all others. */
function unaryMethods(): DescMethod[] {
  const methods = serviceDescriptors.flatMap((service) => service.methods);
  return methods.filter((method) => method.methodKind === "unary" && method !== Maintenance.method.alarm);
}

test.each([1, 2, 3])("no request trips the member, and what it logged can be replayed (seed %d)", async (seed) => {
  const random = new SimulatedRandom(seed);
  const server = await TestMember.start({ seed });
  const methods = unaryMethods();
  const weighted = [
    ...methods,
    ...Object.values(KV.method).filter((method) => method.methodKind === "unary"),
    KV.method.txn,
  ];
  const codes = new Set<Code>();
  for (let round = 0; round < 1500; round++) {
    const isLast = round > 1400;
    const method = isLast && random.chance(0.3) ? Maintenance.method.alarm : weighted[random.below(weighted.length)];
    const found = server.methods.get(`/${method.parent.typeName}/${method.name}`)!;
    if (found.kind !== "unary") throw new Error(`${found.path} is not unary`);
    let bytes = randomMessage(random, method.input);
    if (random.chance(0.15)) bytes = corrupted(random, bytes);
    const call = startUnary(found, bytes);
    bytes.fill(0xff);
    call.response.then(() => codes.add(Code.OK), (error: RpcError) => codes.add(error.code));
    // Some wait for a lock that nobody lets go.
    if (random.chance(0.3)) call.cancel(CANCELED);
    if (random.chance(0.3)) await server.clock.settle();
    if (random.chance(0.02)) await server.clock.advance(random.below(5000));
    expect(server.fatal).toEqual([]);
  }
  await server.clock.settle();
  expect(server.fatal).toEqual([]);
  // Many ways to fail were met, and success as well.
  expect(codes.has(Code.OK)).toBe(true);
  expect(codes.size).toBeGreaterThan(5);

  const { hash } = await server.call(Maintenance.method.hash, {});
  const { revision } = server.member.keyspace.store;
  const again = await server.restart();
  expect((await again.call(Maintenance.method.hash, {})).hash).toBe(hash);
  expect(again.member.keyspace.store.revision).toBe(revision);
}, 60_000);
