import { afterEach, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Http2Server, type Http2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Auth } from "../../../src/gen/etcdserverpb/auth_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { runTool, type ToolOptions } from "../tool.ts";

const CHUNK_SIZE = 32 * 1024;

/** A member that sends what a test tells it to. */
class FakeMember {
  database: Uint8Array = Uint8Array.from({ length: 3_000_320 }, (_, index) => index * 7 + (index >> 9));
  /** Sent behind the database. */
  digest: Uint8Array | undefined;
  /** Ends the stream after the first message. */
  failure: ConnectError | undefined;
  /** Never goes on after the first message. */
  isStuck = false;
  /** Loses the connection after the first message. */
  isLost = false;
  tokens: (string | null)[] = [];
  readonly #sessions: Http2Session[] = [];
  readonly #server: Http2Server;
  #end = Promise.withResolvers<void>();

  constructor() {
    this.digest = new Uint8Array(createHash("sha256").update(this.database).digest());
    this.#server = createServer(connectNodeAdapter({
      routes: (router) => {
        router.service(Maintenance, {
          snapshot: (_, context) => this.#snapshot(context.requestHeader.get("token")),
          defragment: () => ({}),
        });
        router.service(Auth, { authenticate: ({ name, password }) => ({ token: `${name}/${password}` }) });
      },
    }));
    this.#server.on("session", (session) => this.#sessions.push(session));
  }

  async *#snapshot(token: string | null) {
    this.tokens.push(token);
    for (let position = 0; position < this.database.length; position += CHUNK_SIZE) {
      const blob = this.database.subarray(position, position + CHUNK_SIZE);
      yield { blob, remainingBytes: BigInt(this.database.length - position - blob.length), version: "3.7.0" };
      if (this.failure !== undefined) throw this.failure;
      if (this.isLost) {
        for (const session of this.#sessions) session.destroy();
      }
      if (this.isStuck) await this.#end.promise;
    }
    if (this.digest !== undefined) yield { blob: this.digest, remainingBytes: 0n, version: "3.7.0" };
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#end.resolve();
    this.#server.close();
  }
}

let directory: string;
let path: string;
let member: FakeMember;
let endpoint: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "save-"));
  path = join(directory, "snapshot.db");
  member = new FakeMember();
  endpoint = await member.start();
});

afterEach(() => {
  member.stop();
  rmSync(directory, { recursive: true });
});

function save(args: string[] = [], options: ToolOptions = {}) {
  return runTool(["snapshot", "save", path, ...args], {
    program: "etcdctl",
    environment: { ETCDCTL_ENDPOINTS: endpoint },
    ...options,
  });
}

test("the database and its digest are saved, for their owner alone", async () => {
  const { code, out, error, logged } = await save();
  expect([code, out, error]).toEqual([0, `Snapshot saved at ${path}\nServer version 3.7.0\n`, ""]);
  expect(readFileSync(path).equals(Buffer.concat([member.database, member.digest!]))).toBe(true);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory)).toEqual(["snapshot.db"]);
  expect(logged.map((line) => line.message)).toEqual([
    "created temporary db file",
    "fetching snapshot",
    "fetched snapshot",
    "saved",
  ]);
});

test("a terminal sees how far it is", async () => {
  const { error } = await save([], { isTerminal: true });
  expect(error).toContain("saving [");
  expect(error.endsWith("\r\x1b[K")).toBe(true);
});

test("what is not complete and right is not saved, and what was there stays", async () => {
  writeFileSync(path, "older");
  const cases: [prepare: () => void, text: string][] = [
    [() => member.digest = member.digest!.map((byte) => byte ^ 1), "expected sha256 ["],
    [() => member.digest = undefined, "sha256 checksum not found [bytes: 3000320]"],
    [
      () => member.failure = new ConnectError("etcdserver: server stopped", Code.Unavailable),
      "could not write snapshot: etcdserver: server stopped",
    ],
    [
      () => member.failure = new ConnectError("disk on fire: 100 %", Code.Internal),
      "could not write snapshot: rpc error: code = Internal desc = disk on fire: 100 %",
    ],
    [
      () => {
        member.failure = undefined;
        member.isLost = true;
      },
      "could not write snapshot: rpc error: code = ",
    ],
  ];
  for (const [prepare, text] of cases) {
    prepare();
    const { code, out, error } = await save();
    expect([code, out]).toEqual([5, ""]);
    expect(error).toContain(`Error: ${text}`);
    expect(readdirSync(directory)).toEqual(["snapshot.db"]);
    expect(readFileSync(path, "utf8")).toBe("older");
  }
});

test("--command-timeout ends it, and by default nothing does", async () => {
  member.isStuck = true;
  const { code, error } = await save(["--command-timeout=200ms"]);
  expect([code, error]).toEqual([5, "Error: context deadline exceeded\n"]);
  expect(readdirSync(directory)).toEqual([]);
});

test("an interruption leaves nothing", async () => {
  member.isStuck = true;
  const { code, error } = await save([], { interruptAfterMs: 200 });
  expect([code, error]).toEqual([130, "Error: interrupted; nothing was saved\n"]);
  expect(readdirSync(directory)).toEqual([]);
});

test("a member that cannot be reached is an error that says what to look at", async () => {
  member.stop();
  const { code, error } = await runTool(
    ["snapshot", "save", path, "--endpoints=127.0.0.1:1", "--dial-timeout=50ms"],
    { program: "keelson" },
  );
  expect(code).toBe(5);
  expect(error).toContain("127.0.0.1:1 could not be reached within 50ms");
});

test("a user is named first, and the token goes with the call", async () => {
  expect((await save(["--user=root:secret"])).code).toBe(0);
  expect((await save(["--user=root", "--password=other"])).code).toBe(0);
  expect((await save(["--auth-jwt-token=abc"])).code).toBe(0);
  expect(member.tokens).toEqual(["root/secret", "root/other", "abc"]);
});

test("what cannot be asked for is refused with etcdctl's exit codes", async () => {
  const cases: [args: string[], code: number, text: string][] = [
    [["--endpoints=a,b"], 5, "snapshot must be requested to one selected node, not multiple [a b]"],
    [["more"], 128, "snapshot save expects one argument <filename>"],
    [["--cert="], 128, "empty string is passed to --cert option"],
    [["--cacert=no-such-file"], 128, "open no-such-file: no such file or directory"],
    [["-w", "xml"], 4, "unsupported output format"],
    [["--user=root"], 1, "the password is missing"],
    [["--discovery-srv=example.com"], 1, "--discovery-srv is not built yet"],
  ];
  for (const [args, code, text] of cases) {
    const run = await save(args, { environment: {} });
    expect([args, run.code]).toEqual([args, code]);
    expect(run.error).toContain(`Error: ${text}`);
  }
  expect(readdirSync(directory)).toEqual([]);
});

test("variables stand for flags; beside them, unknown or unreadable they are told of", async () => {
  const variables = { ETCDCTL_ENDPOINTS: endpoint, ETCDCTL_API: "3" };
  expect((await save([], { environment: variables })).logged[0]).toEqual({
    level: "warn",
    message: "unrecognized environment variable",
    fields: { "environment-variable": "ETCDCTL_API=3" },
  });
  expect((await save(["--endpoints", endpoint], { environment: variables })).code).toBe(1);
  expect(await save([], { environment: { ...variables, ETCDCTL_DIAL_TIMEOUT: "soon" } })).toMatchObject({
    code: 128,
    error: 'Error: invalid value "soon" for ETCDCTL_DIAL_TIMEOUT: time: invalid duration "soon"\n',
  });
});

test("defrag asks every endpoint, and fails if one of them does", async () => {
  const good = await runTool(["defrag", `--endpoints=${endpoint}`], { program: "etcdctl" });
  expect(good.code).toBe(0);
  expect(good.out).toMatch(new RegExp(`^Finished defragmenting etcd member\\[${endpoint}\\]. took .*s\n$`));
  const mixed = await runTool(["defrag", `--endpoints=127.0.0.1:1,${endpoint}`], { program: "keelson" });
  expect(mixed.code).toBe(1);
  expect(mixed.error).toContain("Failed to defragment etcd member[127.0.0.1:1]. took ");
  expect(mixed.out).toContain(`Finished defragmenting etcd member[${endpoint}]`);
});
