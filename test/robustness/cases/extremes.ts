/**
 * Numbers at the ends of int64, and bytes that are no protobuf, to every call there is, on every door: each is answered with
 * a status that is meant, and the process goes on. (That the answers are etcd's is for `npm run test:interop` to say.)
 */
import { type DescField, type DescMessage, type DescMethod, ScalarType, toBinary } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { concatBytes } from "../../../src/base/bytes.ts";
import { Auth } from "../../../src/gen/etcdserverpb/auth_pb.ts";
import { Cluster } from "../../../src/gen/etcdserverpb/cluster_pb.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch } from "../../../src/gen/etcdserverpb/watch_pb.ts";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { Lease as BrowserLease } from "../../../src/gen/keelson/v1/lease_pb.ts";
import { Watch as BrowserWatch } from "../../../src/gen/keelson/v1/watch_pb.ts";
import { Election } from "../../../src/gen/v3electionpb/election_pb.ts";
import { Lock } from "../../../src/gen/v3lockpb/lock_pb.ts";
import { bytes, Client, pathOf, text } from "../client.ts";
import { Connection, LOST, type Status } from "../connection.ts";
import { type Case, check, type Context, type Random } from "../context.ts";
import type { Server } from "../server.ts";

const SERVICES = [
  ...[KV, Lease, Watch, Maintenance, Cluster, Auth, Lock, Election, Health, ServerReflection],
  ...[BrowserLease, BrowserWatch],
];
const REQUESTS_PER_METHOD = 24;
const REQUESTS_PER_METHOD_LONG = 1000;
/** Some calls wait for something that never happens; most of the others are answered at once. */
const TIMEOUT = "150m";
const PARALLEL = 16;

const INT64: bigint[] = [
  ...[0n, 1n, -1n, 2n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n), 2n ** 62n],
  ...[2n ** 63n - 1n, 2n ** 63n - 2n, -(2n ** 63n), -(2n ** 63n) + 1n],
];
const INT32 = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 99];

/** Texts of errors that no one wrote for a client. */
const ACCIDENT =
  /\bundefined\b|TypeError|RangeError|is not a function|annot read prop|[Aa]ssertion|out of bounds|\n\s+at /;

export const extremes: Case = {
  name: "extremes",
  about: "numbers at the ends of int64 and malformed protobuf to every call on every door: answered, no crash",
  async run(context) {
    const server = context.server();
    await server.start();
    const count = context.settings.isLong ? REQUESTS_PER_METHOD_LONG : REQUESTS_PER_METHOD;
    const methods = SERVICES.flatMap((service) => service.methods as DescMethod[]);
    const codes = new Map<number, number>();
    let calls = 0;
    for (const method of methods) {
      const requests = makeRequests(context.random, method, count);
      calls += requests.length;
      await send(server, method, requests, codes);
      check(server.isRunning, `${pathOf(method)}: the process has ended`);
    }
    const otherDoors = await sendElsewhere(context, server, methods);
    // Whatever was done to it, what it holds can be read, and read again after a restart.
    const { revision, hash } = await hashAt(server, 0n);
    await server.stop("SIGKILL");
    await server.start();
    check(
      (await hashAt(server, revision)).hash === hash,
      `after a restart the hash at revision ${revision} is another`,
    );
    const texts = [...codes].sort(([a], [b]) => a - b).map(([code, times]) => `${code}: ${times}`);
    return `${calls} requests to ${methods.length} methods, ${otherDoors} on the other doors; codes ${
      texts.join(", ")
    }`;
  },
};

/** The hash of all up to a revision, 0 for the newest; that one is asked for by number. */
async function hashAt(server: Server, revision: bigint): Promise<{ revision: bigint; hash: number }> {
  const client = await Client.open(server.port);
  try {
    const wanted = revision || (await client.call(KV.method.range, { key: bytes("any") })).header!.revision;
    const { hash } = await client.call(Maintenance.method.hashKV, { revision: wanted });
    return { revision: wanted, hash };
  } finally {
    client.close();
  }
}

/** Half of them well-formed with extreme values, half of them not well-formed. */
function makeRequests(random: Random, method: DescMethod, count: number): Uint8Array[] {
  const requests: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const valid = toBinary(method.input, extremeMessage(random, method.input, 0));
    requests.push(i % 2 === 0 ? valid : malform(random, valid));
  }
  return requests;
}

const DEPTH_MAX = 4;

function extremeMessage(random: Random, schema: DescMessage, depth: number) {
  const message = reflect(schema);
  for (const member of schema.members) {
    if (random.below(4) === 0) continue;
    const field = member.kind === "oneof" ? member.fields[random.below(member.fields.length)]! : member;
    setField(random, message, field, depth);
  }
  return message.message;
}

function setField(random: Random, message: ReflectMessage, field: DescField, depth: number): void {
  switch (field.fieldKind) {
    case "scalar":
      return message.set(field, scalar(random, field.scalar));
    case "enum":
      return message.set(field, INT32[random.below(INT32.length)]!);
    case "message":
      if (depth >= DEPTH_MAX) return;
      return message.set(field, reflect(field.message, extremeMessage(random, field.message, depth + 1)));
    case "list":
      for (let i = random.below(4); i > 0; i--) {
        const list = message.get(field);
        if (field.listKind === "scalar") list.add(scalar(random, field.scalar));
        else if (field.listKind === "enum") list.add(INT32[random.below(INT32.length)]!);
        else if (depth < DEPTH_MAX) {
          list.add(reflect(field.message, extremeMessage(random, field.message, depth + 1)));
        }
      }
  }
}

function scalar(random: Random, type: ScalarType): boolean | number | bigint | string | Uint8Array {
  const int64 = INT64[random.below(INT64.length)]!;
  switch (type) {
    case ScalarType.BOOL:
      return random.below(2) === 0;
    case ScalarType.STRING:
      return ["", "a", "\u0000", "é\u{10ffff}", "x".repeat(3000)][random.below(5)]!;
    case ScalarType.BYTES:
      return [bytes(""), bytes("a"), Uint8Array.of(0), random.bytes(300), bytes("b".repeat(9000))][random.below(5)]!;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return int64;
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return BigInt.asUintN(64, int64);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return Number(BigInt.asUintN(32, int64));
    default:
      return INT32[random.below(INT32.length)]!;
  }
}

/** Cut, changed, with something before or behind it, or nothing of the kind at all. */
function malform(random: Random, valid: Uint8Array): Uint8Array {
  const changed = valid.slice();
  switch (random.below(9)) {
    case 0:
      return random.bytes(1 + random.below(40));
    case 1:
      return valid.subarray(0, random.below(valid.length + 1));
    case 2:
      for (let i = 0; i < 3 && changed.length > 0; i++) changed[random.below(changed.length)] = random.below(256);
      return changed;
    case 3:
      // A length beyond the end, beyond 2^31, beyond 2^63.
      return concatBytes([valid, Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0xff, random.below(256), random.below(2))]);
    case 4:
      // A number of eleven bytes.
      return concatBytes([valid, Uint8Array.of(0x18), new Uint8Array(10).fill(0xff), Uint8Array.of(1)]);
    case 5:
      // Groups: one without end, one without beginning, and a thousand inside one another.
      return concatBytes([
        valid,
        [Uint8Array.of(0x0b), Uint8Array.of(0x0c), new Uint8Array(20_000).fill(0x0b)][random.below(3)]!,
      ]);
    case 6:
      // Field number 0, and wire types that do not exist.
      return concatBytes([Uint8Array.of([0x00, 0x06, 0x0f, 0x07][random.below(4)]!), valid]);
    case 7:
      // Text that is not UTF-8, in field 1.
      return concatBytes([Uint8Array.of(0x0a, 2, 0xc3, 0x28), valid]);
    default:
      return nested(2 + random.below(3), 3000);
  }
}

/** A message in field `number` of a message in field `number` of... */
function nested(number: number, depth: number): Uint8Array {
  let inner: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < depth; i++) {
    const size = inner.length;
    const head = size < 128
      ? [size]
      : size < 16_384
      ? [size & 127 | 128, size >> 7]
      : [size & 127 | 128, size >> 7 & 127 | 128, size >> 14];
    inner = concatBytes([Uint8Array.of(number << 3 | 2, ...head), inner]);
  }
  return inner;
}

async function send(
  server: Server,
  method: DescMethod,
  requests: readonly Uint8Array[],
  codes: Map<number, number>,
): Promise<void> {
  const connection = await Connection.open(server.port);
  const path = pathOf(method);
  const isStream = method.methodKind === "bidi_streaming" || method.methodKind === "client_streaming";
  let next = 0;
  const lane = async () => {
    while (next < requests.length) {
      const request = requests[next++]!;
      const stream = connection.open(path, [["grpc-timeout", TIMEOUT]]);
      // A stream gets a second request after the first, in case that one was taken.
      stream.sendMessage(request, !isStream);
      if (isStream) stream.sendMessage(requests[next % requests.length]!, true);
      const status = await stream.done;
      codes.set(status.code, (codes.get(status.code) ?? 0) + 1);
      judge(path, request, status, connection);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
  connection.close();
}

function judge(path: string, request: Uint8Array, status: Status, connection: Connection): void {
  const what =
    `${path} with ${Array.from(request.subarray(0, 60), (byte) => byte.toString(16).padStart(2, "0")).join("")}` +
    (request.length > 60 ? `... (${request.length} bytes)` : "");
  check(status.code !== LOST, `${what}: no status: ${status.message} ${connection.farewell}`);
  check(status.code <= 16, `${what}: code ${status.code}`);
  check(!ACCIDENT.test(status.message), `${what}: code ${status.code}: ${status.message}`);
}

/** The same through Connect and gRPC-Web, and numbers that are none through the JSON gateway. */
async function sendElsewhere(context: Context, server: Server, methods: readonly DescMethod[]): Promise<number> {
  let count = 0;
  const post = async (path: string, type: string, body: Uint8Array | string) => {
    count++;
    const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method: "POST",
      headers: { "content-type": type, "connect-timeout-ms": "150", "grpc-timeout": TIMEOUT },
      body: body as BodyInit,
      signal: AbortSignal.timeout(5000),
    });
    const content = text(new Uint8Array(await answer.arrayBuffer()));
    check(!ACCIDENT.test(content), `${path} as ${type}: ${content.slice(0, 300)}`);
  };
  for (const method of methods) {
    if (method.methodKind !== "unary") continue;
    for (const request of makeRequests(context.random, method, 4)) {
      await post(pathOf(method), "application/proto", request);
      const prefix = new Uint8Array(5);
      new DataView(prefix.buffer).setUint32(1, request.length);
      await post(pathOf(method), "application/grpc-web+proto", concatBytes([prefix, request]));
    }
    await post(pathOf(method), "application/json", `{"key": 1e999, "ID": "9223372036854775808"}`);
  }
  for (const number of GATEWAY_NUMBERS) {
    for (const field of ["revision", "limit", "min_mod_revision", "max_create_revision"]) {
      await post("/v3/kv/range", "application/json", `{"key": "YQ==", "${field}": ${number}}`);
    }
    await post("/v3/lease/grant", "application/json", `{"TTL": ${number}, "ID": ${number}}`);
    await post("/v3/kv/compaction", "application/json", `{"revision": ${number}}`);
  }
  return count;
}

const GATEWAY_NUMBERS = [
  ...["9223372036854775807", `"9223372036854775807"`, "-9223372036854775808", "9223372036854775808", "1e30", "-1e-30"],
  ...["1e999", `"NaN"`, `""`, "null", "[]", "{}", "0x10", "01", `"-"`, "1.5", `"1e2"`],
];
