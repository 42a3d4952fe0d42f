import { readFileSync } from "node:fs";
import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, etcdCommand, execute, type Server } from "../process.ts";

/** What happens when space runs out, what makes room again, and what the maintenance calls say meanwhile. */
export const space: Case = {
  name: "space",
  about: "the quota, its alarm, automatic compaction, maintenance calls and metrics, answered as by etcd",
  async run(context) {
    const stories = Object.entries(STORIES);
    for (const [name, { flags, tell }] of stories) {
      const [etcd, subject] = await context.startBoth(flags);
      // etcd now and then takes seconds to settle the version of its storage.
      await Promise.all([untilCluster(etcd, "3.7.0"), untilCluster(subject, "3.7.0")]);
      const [expected, actual] = await Promise.all([tell(etcd), tell(subject)]);
      expectEqual(name, expected.join("\n"), actual.join("\n"));
      await Promise.all([etcd.stop(), subject.stop()]);
    }
    await compareMetrics(context);
    await compareRefusals(context);
    return `${stories.length} stories, ${REFUSALS.length} refused settings`;
  },
};

interface Story {
  readonly flags: string[];
  /** Returns what was seen, a line each. */
  tell(server: Server): Promise<string[]>;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const ALL = { key: "AA==", range_end: "AA==" };
const PUT = { request_put: { key: base64("small"), value: base64("1") } };
const DELETE = { request_delete_range: { key: base64("nothing") } };
const RANGE = { request_range: { key: base64("big/0") } };

/** Differ from server to server: how much fits is counted in bytes here and in pages there. */
const NOT_COMPARED = new Set([
  ...["revision", "raft_term", "raftTerm", "raftIndex", "raftAppliedIndex", "create_revision", "mod_revision"],
  ...["count", "deleted", "kvs", "hash", "compact_revision", "hash_revision", "dbSize", "dbSizeInUse"],
]);

const STORIES: Record<string, Story> = {
  "a quota used up": {
    flags: ["--quota-backend-bytes=2000000"],
    async tell(server) {
      const seen: string[] = [];
      const ask = async (path: string, request: unknown) =>
        void seen.push(`${path} ${JSON.stringify(request)}\n  ${await post(server, path, request)}`);
      seen.push(await fill(server));
      await ask("/v3/maintenance/alarm", {});
      await ask("/v3/maintenance/alarm", { action: "GET", alarm: "CORRUPT" });
      seen.push(await get(server, "/health"), await get(server, "/health?exclude=NOSPACE"));
      seen.push(await get(server, "/readyz"), await get(server, "/livez"));
      await ask("/v3/maintenance/status", {});
      for (
        const [path, request] of [
          ["/v3/kv/put", { key: base64("small") }],
          ["/v3/lease/grant", { TTL: 60, ID: 5 }],
          ["/v3/lease/revoke", { ID: 5 }],
          ["/v3/lease/leases", {}],
          ["/v3/kv/txn", { success: [PUT] }],
          ["/v3/kv/txn", { failure: [PUT] }],
          ["/v3/kv/txn", { success: [{ request_txn: { failure: [PUT] } }] }],
          ["/v3/kv/txn", { success: [DELETE, RANGE] }],
          ["/v3/kv/txn", { success: [RANGE] }],
          ["/v3/kv/range", { ...ALL, limit: 1 }],
          ["/v3/kv/deleterange", { key: base64("big/"), range_end: base64("big0") }],
          ["/v3/maintenance/hashkv", {}],
        ] as const
      ) await ask(path, request);
      const revision = await revisionOf(server);
      seen.push(await post(server, "/v3/kv/compaction", { revision, physical: true }));
      // Room alone does not clear the alarm.
      await post(server, "/v3/maintenance/defragment", {});
      await ask("/v3/kv/put", { key: base64("small") });
      const { member_id } = JSON.parse(await raw(server, "/v3/kv/range", ALL)).header;
      await ask("/v3/maintenance/alarm", { action: "DEACTIVATE", memberID: "1", alarm: "NOSPACE" });
      await ask("/v3/maintenance/alarm", { action: "DEACTIVATE", memberID: member_id, alarm: "NOSPACE" });
      await ask("/v3/maintenance/alarm", { action: "DEACTIVATE", memberID: member_id, alarm: "NOSPACE" });
      await ask("/v3/kv/put", { key: base64("small") });
      await ask("/v3/lease/grant", { TTL: 60, ID: 5 });
      seen.push(await get(server, "/health"));
      return seen;
    },
  },

  "an alarm that outlives a restart": {
    flags: ["--quota-backend-bytes=1000000"],
    async tell(server) {
      await fill(server);
      const seen = [await post(server, "/v3/maintenance/alarm", {})];
      await server.restart("SIGKILL");
      seen.push(await post(server, "/v3/maintenance/alarm", {}));
      seen.push(await post(server, "/v3/kv/put", { key: base64("small") }));
      return seen;
    },
  },

  "no bound": {
    flags: ["--quota-backend-bytes=-1", "--log-level=info"],
    async tell(server) {
      const value = base64("v".repeat(100_000));
      for (let i = 0; i < 10; i++) await post(server, "/v3/kv/put", { key: base64(`big/${i}`), value });
      return [
        await post(server, "/v3/maintenance/status", {}),
        metric(await get(server, "/metrics"), "etcd_server_quota_backend_bytes"),
        ...logLines(server, "quota"),
      ];
    },
  },

  "more than is good": {
    flags: ["--quota-backend-bytes=10000000000", "--log-level=info"],
    async tell(server) {
      return [await post(server, "/v3/maintenance/status", {}), ...logLines(server, "quota")];
    },
  },

  "periodic compaction": {
    flags: ["--auto-compaction-retention=1s", "--log-level=info"],
    async tell(server) {
      for (let i = 0; i < 10; i++) {
        await post(server, "/v3/kv/put", { key: base64("key"), value: base64(`${i}`) });
        await delay(100);
      }
      // Two periods after the last write everything before it is gone.
      await delay(3500);
      const head = await revisionOf(server);
      const seen = [`head ${head}`];
      for (const revision of [2, head - 1, head]) {
        seen.push(await post(server, "/v3/kv/range", { key: base64("key"), revision }));
      }
      // How often depends on the moment of the start; which lines and fields there are does not.
      const lines = logLines(server, "auto periodic compaction").map((line) => line.replace(/"revision":\d+/, ""));
      return [...seen, ...new Set(lines)];
    },
  },

  "maintenance": {
    flags: ["--log-level=info"],
    async tell(server) {
      const seen = [await post(server, "/v3/maintenance/status", {}), await get(server, "/version")];
      const ask = async (path: string, request: unknown) =>
        void seen.push(`${path} ${JSON.stringify(request)}\n  ${await post(server, path, request)}`);
      const { member_id } = JSON.parse(await raw(server, "/v3/kv/range", ALL)).header;
      await ask("/v3/maintenance/transfer-leadership", { targetID: member_id });
      await ask("/v3/maintenance/transfer-leadership", { targetID: "77" });
      await ask("/v3/maintenance/transfer-leadership", {});
      await ask("/v3/maintenance/defragment", {});
      for (const version of ["3.6", "3.6.0", "3.5", "3.7", "x", ""]) {
        await ask("/v3/maintenance/downgrade", { action: "VALIDATE", version });
      }
      await ask("/v3/maintenance/downgrade", { action: "CANCEL" });
      await ask("/v3/maintenance/downgrade", { action: "ENABLE", version: "3.5" });
      await ask("/v3/maintenance/downgrade", { action: "ENABLE", version: "3.6" });
      await untilCluster(server, "3.6.0");
      seen.push(await get(server, "/version"));
      await ask("/v3/maintenance/status", {});
      await ask("/v3/maintenance/downgrade", { action: "ENABLE", version: "3.5" });
      await ask("/v3/maintenance/downgrade", { action: "VALIDATE", version: "3.6" });
      seen.push(withoutTerm(await raw(server, "/v3/maintenance/hash", {})));
      await server.restart("SIGTERM");
      await ask("/v3/maintenance/status", {});
      await ask("/v3/maintenance/downgrade", { action: "CANCEL" });
      await untilCluster(server, "3.7.0");
      await ask("/v3/maintenance/status", {});
      seen.push(withoutTerm(await raw(server, "/v3/maintenance/hash", {})));
      seen.push(await get(server, "/version"));
      return seen;
    },
  },

  "hashes": {
    flags: [],
    async tell(server) {
      const hashKv = (revision: number) => raw(server, "/v3/maintenance/hashkv", { revision }).then(withoutTerm);
      for (let i = 0; i < 30; i++) {
        await post(server, "/v3/kv/put", { key: base64(`k${i % 7}`), value: base64(`${i}`) });
      }
      await post(server, "/v3/kv/deleterange", { key: base64("k3") });
      await post(server, "/v3/kv/compaction", { revision: 20, physical: true });
      const seen = [await hashKv(0), await hashKv(20), await hashKv(25), await hashKv(19)];
      await server.restart("SIGKILL");
      seen.push(await hashKv(0), await hashKv(20), await hashKv(25), await hashKv(19));
      await post(server, "/v3/kv/compaction", { revision: 28, physical: true });
      await post(server, "/v3/kv/put", { key: base64("k3") });
      seen.push(await hashKv(0), await hashKv(28), await hashKv(20));
      await server.restart("SIGTERM");
      seen.push(await hashKv(0), await hashKv(28), await hashKv(20));
      return seen;
    },
  },
};

/** Puts until nothing more is taken; returns the answer to that. */
async function fill(server: Server): Promise<string> {
  const value = base64("v".repeat(100_000));
  let answer = "";
  for (let i = 0; i < 100 && !answer.includes("exceeded"); i++) {
    answer = await post(server, "/v3/kv/put", { key: base64(`big/${i}`), value });
  }
  return answer;
}

/** Counted alike, too, by the end of the same requests. */
const COUNTED = [
  ...["etcd_mvcc_put_total", "etcd_mvcc_delete_total", "etcd_mvcc_txn_total"],
  ...["etcd_debugging_mvcc_total_put_size_in_bytes", "etcd_debugging_mvcc_keys_total"],
  ...["etcd_debugging_mvcc_current_revision", "etcd_debugging_mvcc_compact_revision"],
  ...[
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
  ],
  ...["etcd_debugging_lease_granted_total", "etcd_debugging_lease_revoked_total", "etcd_server_quota_backend_bytes"],
];

/** etcd has many more metrics: those that are here under its names must be described alike. */
async function compareMetrics(context: Context): Promise<void> {
  const scrape = async (server: Server) => {
    for (let i = 0; i < 20; i++) await post(server, "/v3/kv/put", { key: base64(`k${i % 7}`), value: base64(`${i}`) });
    await post(server, "/v3/kv/txn", { success: [PUT, RANGE] });
    await post(server, "/v3/kv/txn", { success: [PUT] });
    await post(server, "/v3/kv/txn", { success: [RANGE, DELETE] });
    await post(server, "/v3/kv/deleterange", { key: base64("k1"), range_end: base64("k4") });
    await post(server, "/v3/lease/grant", { TTL: 600, ID: 5 });
    await post(server, "/v3/kv/put", { key: base64("leased"), lease: 5 });
    await post(server, "/v3/lease/revoke", { ID: 5 });
    await post(server, "/v3/kv/compaction", { revision: 20, physical: true });
    return await get(server, "/metrics");
  };
  const [etcd, subject] = await Promise.all((await context.startBoth()).map(scrape));
  const described = (text: string) => text.split("\n").filter((line) => /^# (HELP|TYPE) etcd_/.test(line));
  const known = new Set(described(etcd!));
  const unlike = described(subject!).filter((line) => !known.has(line));
  if (unlike.length > 0) throw new Error(`metrics not as in etcd:\n${unlike.join("\n")}`);
  const counts = (text: string) => COUNTED.map((name) => metric(text, name)).join("\n");
  expectEqual("metrics", counts(etcd!), counts(subject!));
}

/** Settings that neither server starts with, and the words that both refuse them in. */
const REFUSALS: [flag: string, text: string][] = [
  ["--auto-compaction-mode=often", 'unknown auto-compaction-mode "often"'],
  ["--auto-compaction-retention=1d", 'error parsing CompactionRetention: time: unknown unit "d" in duration "1d"'],
  ["--auto-compaction-retention=-5", 'error parsing CompactionRetention: time: missing unit in duration "-5"'],
  ["--auto-compaction-retention=x", 'error parsing CompactionRetention: time: invalid duration "x"'],
  ["--quota-backend-bytes=much", 'invalid value "much" for flag -quota-backend-bytes: parse error'],
];

async function compareRefusals(context: Context): Promise<void> {
  for (const [flag, text] of REFUSALS) {
    for (const command of [etcdCommand(), context.settings.subject]) {
      const [program, ...words] = [...command.split(/\s+/), "--data-dir", `${context.directory}/refused`, flag];
      const { code, stdout, stderr } = await execute(program!, words, { timeoutMs: 20_000 });
      // The text stands in a JSON string, quotes and all.
      const said = (stdout + stderr).replaceAll('\\"', '"');
      if (code === 0 || !said.includes(text)) throw new Error(`${command} ${flag}: exit ${code}\n${said}`);
    }
  }
}

async function raw(server: Server, path: string, request: unknown): Promise<string> {
  const answer = await fetch(server.url + path, { method: "POST", body: JSON.stringify(request) });
  return await answer.text();
}

/** The answer without what is the server's own business, and the spaces that Go strews into texts of messages. */
async function post(server: Server, path: string, request: unknown): Promise<string> {
  const answer = JSON.parse(await raw(server, path, request));
  return JSON.stringify(answer, (key, value) => NOT_COMPARED.has(key) ? undefined : value).replace(/ {2,}/g, " ");
}

function withoutTerm(text: string): string {
  return JSON.stringify(JSON.parse(text), (key, value) => key === "raft_term" ? undefined : value);
}

async function get(server: Server, path: string): Promise<string> {
  const answer = await fetch(server.url + path);
  const text = await answer.text();
  return path === "/metrics" ? text : `${path} ${answer.status} ${text}`;
}

async function revisionOf(server: Server): Promise<number> {
  return Number(JSON.parse(await raw(server, "/v3/kv/range", ALL)).header.revision);
}

function metric(text: string, name: string): string {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  if (line === undefined) throw new Error(`there is no metric ${name}`);
  return `${name} ${Number(line.slice(name.length))}`;
}

/** Level, message and fields of the log lines whose message has these words, without times and places. */
function logLines(server: Server, words: string): string[] {
  return readFileSync(server.logPath, "utf8").split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => String(msg).includes(words))
    .map(({ ts: _ts, caller: _caller, took: _took, ...rest }) => JSON.stringify(rest));
}

const CLUSTER_TIMEOUT_MS = 20_000;

async function untilCluster(server: Server, version: string): Promise<void> {
  const wanted = `"etcdcluster":"${version}","storage":"${version}"`;
  for (const endMs = Date.now() + CLUSTER_TIMEOUT_MS; Date.now() < endMs; await delay(200)) {
    if ((await get(server, "/version")).includes(wanted)) return;
  }
}
