/** Starts that must fail, each with one clear line and the right exit code, and some that must not. */
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { bytes, Client } from "../client.ts";
import { type Case, check, type Context } from "../context.ts";
import { type Server, withDescriptors } from "../server.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";

/** A usage error has 2, as Go's flag package has it; all else 1. */
const FAILURE = 1;
const USAGE = 2;
/** No start-up error may take longer to be told. */
const TOLD_MS_MAX = 15_000;
const RECORDS = 200;
const VALUE_SIZE = 2000;
const SECTOR_SIZE = 512;

export const startup: Case = {
  name: "startup",
  about: "directory or port in use, unwritable, unknown flag, damaged log: one clear line and the right exit code",
  async run(context) {
    let refusals = 0;
    for (const test of [...FLAG_TESTS, ...PLACE_TESTS, ...LIMIT_TESTS, ...LOG_TESTS]) {
      try {
        await test.run(context);
      } catch (error) {
        throw new Error(`${test.name}: ${(error as Error).message}`);
      }
      refusals += test.refusals;
    }
    return `${refusals} refusals, each with its reason in one line; a torn tail starts`;
  },
};

interface StartTest {
  readonly name: string;
  readonly refusals: number;
  run(context: Context): Promise<void>;
}

/** Starts a server that must end by itself, and looks at its last words. */
async function refuses(server: Server, code: number, ...patterns: RegExp[]): Promise<void> {
  const beganMs = performance.now();
  server.spawn();
  const timer = setTimeout(() => server.signal("SIGKILL"), TOLD_MS_MAX);
  const end = await server.end;
  clearTimeout(timer);
  const lines = server.logLines();
  const tookMs = performance.now() - beganMs;
  check(
    end.code === code,
    `ended with ${end.code ?? end.signal} after ${tookMs.toFixed(0)} ms, not ${code}: ${lines.at(-1)}`,
  );
  // After a usage error the last line says where to read on, as Go's does.
  const line = lines.at(code === USAGE ? -2 : -1) ?? "";
  for (const pattern of patterns) check(pattern.test(line), `the line does not say ${pattern}: ${line}`);
  const isTrace = lines.some((each) => /^\s+at .*\.ts:\d+/.test(each) || /"stack"/.test(each));
  check(!isTrace, `a stack trace: ${lines.join("\n")}`);
  check(line.length < 1000, `a line of ${line.length} characters: ${line}`);
}

function flagTest(name: string, flags: string[], code: number, ...patterns: RegExp[]): StartTest {
  return {
    name,
    refusals: 1,
    run: (context) => refuses(context.server({ name: "flags", flags }), code, ...patterns),
  };
}

const FLAG_TESTS: StartTest[] = [
  flagTest("an unknown flag", ["--no-such-flag=1"], USAGE, /no-such-flag/),
  flagTest("a value that is no number", ["--heartbeat-interval=soon"], USAGE, /heartbeat-interval/, /soon/),
  flagTest("a flag without its value", ["--max-txn-ops"], USAGE, /max-txn-ops/),
  flagTest("a word that is no flag", ["serve"], FAILURE, /serve/),
  flagTest("a flag of a later feature", ["--auth-token=jwt"], FAILURE, /auth-token/, /not have yet/),
  flagTest("TLS, a later feature", ["--cert-file=server.crt"], FAILURE, /cert-file/, /TLS/),
  flagTest(
    "a cluster without this member",
    ["--initial-cluster=other=http://localhost:2380"],
    FAILURE,
    /couldn't find local name \\"default\\"/,
    /--name/,
  ),
  flagTest(
    "a cluster that knows this member under other URLs",
    ["--initial-cluster=default=http://localhost:1,other=http://localhost:2"],
    FAILURE,
    /--initial-cluster has default=http:\/\/localhost:1 but missing from --initial-advertise-peer-urls/,
  ),
  flagTest(
    "a cluster to join of which nobody answers",
    ["--initial-cluster=default=http://localhost:2380,other=http://127.0.0.1:1", "--initial-cluster-state=existing"],
    FAILURE,
    /cannot fetch cluster info from peer urls/,
    /127\.0\.0\.1:1/,
  ),
  flagTest("a URL that is none", ["--listen-client-urls=elsewhere"], USAGE, /elsewhere/),
  flagTest(
    "an address of another machine",
    [
      "--listen-client-urls=http://192.0.2.1:2379",
      "--advertise-client-urls=http://192.0.2.1:2379",
    ],
    FAILURE,
    /192\.0\.2\.1/,
    /no such address/,
  ),
];

const PLACE_TESTS: StartTest[] = [
  {
    name: "a port in use",
    refusals: 1,
    async run(context) {
      const listener = createServer();
      await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
      try {
        const { port } = listener.address() as { port: number };
        const server = context.server({ name: "port-in-use", port });
        await refuses(server, FAILURE, new RegExp(`127\\.0\\.0\\.1:${port}`), /in use/);
        check(!readdirSync(context.directory).includes("port-in-use"), "the data directory was made all the same");
      } finally {
        listener.close();
      }
    },
  },
  {
    name: "a peer port in use",
    refusals: 1,
    async run(context) {
      const listener = createServer();
      await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
      try {
        const url = `http://127.0.0.1:${(listener.address() as { port: number }).port}`;
        const server = context.server({ name: "peer-port-in-use", flags: ["--listen-peer-urls", url] });
        await refuses(server, FAILURE, new RegExp(url), /in use/);
        check(!readdirSync(context.directory).includes("peer-port-in-use"), "the data directory was made all the same");
      } finally {
        listener.close();
      }
    },
  },
  {
    name: "a data directory in use",
    refusals: 1,
    async run(context) {
      const first = context.server({ name: "first" });
      await first.start();
      const second = context.server({ name: "second", dataDirectory: first.dataDirectory });
      await refuses(second, FAILURE, /first/, /in use by another process/);
      const client = await Client.open(first.port);
      await client.call(KV.method.put, { key: bytes("still"), value: bytes("here") });
      client.close();
      await first.stop("SIGTERM");
      await second.start();
      await second.stop("SIGKILL");
    },
  },
  {
    name: "a data directory that is a file",
    refusals: 1,
    async run(context) {
      writeFileSync(join(context.directory, "a-file"), "not a directory");
      await refuses(context.server({ name: "a-file" }), FAILURE, /a-file/, /not a directory/);
    },
  },
  {
    name: "a data directory below a file",
    refusals: 1,
    async run(context) {
      const dataDirectory = join(context.directory, "a-file", "below");
      await refuses(context.server({ name: "below-a-file", dataDirectory }), FAILURE, /a-file/, /not a directory/);
    },
  },
  {
    name: "a directory that nobody can write to",
    refusals: 1,
    // Not even root can make anything there.
    run: (context) =>
      refuses(context.server({ name: "unwritable", dataDirectory: "/proc/keelson" }), FAILURE, /\/proc\/keelson/),
  },
  {
    name: "a database of etcd's",
    refusals: 1,
    async run(context) {
      const server = context.server({ name: "foreign" });
      mkdirSync(join(server.dataDirectory, "member", "snap"), { recursive: true, mode: 0o700 });
      writeFileSync(join(server.dataDirectory, "member", "snap", "db"), new Uint8Array(4096));
      await refuses(server, FAILURE, /snap\/db/, /etcd/);
    },
  },
];

/** A log with some records, and where each begins. */
interface WrittenLog {
  readonly server: Server;
  readonly segment: string;
  readonly whole: Uint8Array;
  readonly offsets: readonly number[];
  readonly end: number;
}

async function writeLog(context: Context): Promise<WrittenLog> {
  const server = context.server({ name: "log" });
  rmSync(server.dataDirectory, { recursive: true, force: true });
  await server.start();
  const client = await Client.open(server.port);
  for (let i = 0; i < RECORDS; i++) {
    await client.call(KV.method.put, { key: bytes(`key-${i}`), value: bytes("v".repeat(VALUE_SIZE + i)) });
  }
  client.close();
  await server.stop("SIGKILL");
  const directory = join(server.dataDirectory, "member", "wal");
  const segment = join(directory, readdirSync(directory).filter((name) => name.endsWith(".wal")).sort()[0]!);
  const whole = new Uint8Array(1 << 20);
  const file = openSync(segment, "r");
  readSync(file, whole, 0, whole.length, 0);
  closeSync(file);
  const view = new DataView(whole.buffer);
  const offsets: number[] = [];
  let at = 0;
  for (; view.getUint32(at, true) !== 0; at += 8 + Math.ceil(view.getUint32(at, true) / 8) * 8) offsets.push(at);
  check(offsets.length > RECORDS, `${offsets.length} records of ${RECORDS} puts`);
  return { server, segment, whole, offsets, end: at };
}

function overwrite(path: string, position: number, data: Uint8Array): void {
  const file = openSync(path, "r+");
  writeSync(file, data, 0, data.length, position);
  closeSync(file);
}

const LIMIT_TESTS: StartTest[] = [
  {
    name: "too few file descriptors",
    refusals: 1,
    run: (context) =>
      refuses(
        context.server({ name: "few-descriptors", wrapper: withDescriptors(100) }),
        FAILURE,
        /file descriptor limit/,
        /100/,
      ),
  },
];

const LOG_TESTS: StartTest[] = [
  {
    name: "a damaged log",
    refusals: 5,
    async run(context) {
      const log = await writeLog(context);
      const { server, segment, whole, offsets, end } = log;
      const name = segment.slice(dirname(segment).length + 1);
      const middle = offsets[Math.floor(offsets.length / 2)]!;
      const damages: [what: string, position: number, data: Uint8Array, reported: number][] = [
        ["a bit of a value", middle + 200, Uint8Array.of(whole[middle + 200]! ^ 1), middle],
        ["the type of a record", middle + 9, Uint8Array.of(9), middle],
        ["the length of a record", middle + 2, Uint8Array.of(0x7f), middle],
        [
          "a bit of the first record's checksum",
          offsets[1]! + 12,
          Uint8Array.of(whole[offsets[1]! + 12]! ^ 4),
          offsets[1]!,
        ],
        ["a sector of zeros with valid records behind", middle, new Uint8Array(512), middle],
      ];
      for (const [what, position, data, reported] of damages) {
        overwrite(segment, position, data);
        try {
          await refuses(server, FAILURE, new RegExp(name), new RegExp(`byte ${reported}\\b`));
        } catch (error) {
          throw new Error(`${what}: ${(error as Error).message}`);
        }
        overwrite(segment, position, whole.subarray(position, position + data.length));
      }
      await startsWith(server, RECORDS);
      await tornTail(log, end);
    },
  },
];

/** The last record in part, as a power failure leaves it: cut off and started. */
async function tornTail({ server, segment, whole, offsets }: WrittenLog, end: number): Promise<void> {
  const last = offsets.findLast((offset, i) => (offsets[i + 1] ?? end) - offset > VALUE_SIZE);
  check(last !== undefined, "no record holds a value");
  // What the server that has just run appended goes too.
  overwrite(segment, 0, whole);
  // Disks write whole sectors: the record's first one is there, and perhaps the next, the others are lost.
  const cut = Math.ceil((last + 64) / SECTOR_SIZE) * SECTOR_SIZE;
  overwrite(segment, cut, new Uint8Array(whole.length - cut));
  await startsWith(server, RECORDS - 1);
  check(server.logLines().some((line) => /"repaired"/.test(line)), "the log does not speak of the repair");
  const copies = readdirSync(dirname(segment)).filter((name) => name.endsWith(".broken"));
  check(copies.length === 1, `the torn bytes were not kept: ${copies.length} copies`);
}

async function startsWith(server: Server, count: number): Promise<void> {
  await server.start();
  const client = await Client.open(server.port);
  const answer = await client.call(KV.method.range, { key: bytes("key-"), rangeEnd: bytes("key."), countOnly: true });
  client.close();
  await server.stop("SIGKILL");
  check(answer.count === BigInt(count), `${answer.count} keys, not ${count}`);
}
