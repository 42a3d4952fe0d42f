import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import type { ServerStatus } from "../../src/http/mod.ts";
import { ask, startDoors, type TestServer } from "./support.ts";

let server: TestServer;
let alarms: string[] = [];
let hasLeader = true;
let isLearner = false;
let diskStalledMs = 0;
let readProblem: Error | undefined;
let quorumProblem: Error | undefined;

const status: ServerStatus = {
  alarms: () => alarms,
  hasLeader: () => hasLeader,
  isLearner: () => isLearner,
  diskStalledMs: () => diskStalledMs,
  serializableRead: () => readProblem === undefined ? Promise.resolve() : Promise.reject(readProblem),
  linearizableRead: () => quorumProblem === undefined ? Promise.resolve() : Promise.reject(quorumProblem),
  versions: () => ({ server: "3.7.1", cluster: undefined, storage: undefined }),
};

beforeAll(async () => {
  server = await startDoors([], { status });
});
afterAll(() => server.stop());
beforeEach(() => {
  alarms = [];
  hasLeader = true;
  isLearner = false;
  diskStalledMs = 0;
  readProblem = undefined;
  quorumProblem = undefined;
});

async function get(path: string): Promise<[status: number, body: string]> {
  const answer = await ask(server.url, path);
  return [answer.status, answer.body];
}

test("health is true, and false for an alarm that is not excluded", async () => {
  expect(await get("/health")).toEqual([200, '{"health":"true","reason":""}']);
  alarms = ["NOSPACE", "CORRUPT"];
  expect(await get("/health")).toEqual([503, '{"health":"false","reason":"ALARM NOSPACE"}\n']);
  expect(await get("/health?exclude=NOSPACE")).toEqual([503, '{"health":"false","reason":"ALARM CORRUPT"}\n']);
  expect(await get("/health?exclude=NOSPACE&exclude=CORRUPT")).toEqual([200, '{"health":"true","reason":""}']);
});

test("health needs a leader and a read of the quorum, or a local read where serializable is enough", async () => {
  hasLeader = false;
  expect(await get("/health")).toEqual([503, '{"health":"false","reason":"RAFT NO LEADER"}\n']);
  expect(await get("/health?serializable=true")).toEqual([200, '{"health":"true","reason":""}']);
  hasLeader = true;
  quorumProblem = new Error("etcdserver: request timed out");
  expect(await get("/health")).toEqual([
    503,
    '{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n',
  ]);
});

test("livez and readyz run their checks, name them when asked to, and always name the failed ones", async () => {
  expect(await get("/livez")).toEqual([200, "ok\n"]);
  expect(await get("/livez?verbose")).toEqual([200, "[+]serializable_read ok\nok\n"]);
  expect(await get("/readyz?verbose")).toEqual([
    200,
    "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n",
  ]);
  alarms = ["CORRUPT"];
  isLearner = true;
  quorumProblem = new Error("no quorum");
  expect(await get("/livez")).toEqual([200, "ok\n"]);
  expect(await get("/readyz")).toEqual([
    503,
    "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n" +
    "[-]linearizable_read failed: no quorum\n[-]non_learner failed: not supported for learner\n\n",
  ]);
  expect(await get("/readyz?exclude=data_corruption&exclude=linearizable_read&exclude=non_learner&exclude=x")).toEqual([
    200,
    "ok\n",
  ]);
});

test("readyz tells of a disk that does not finish a write, and is silent about one that does", async () => {
  expect(await get("/readyz/disk?verbose")).toEqual([200, "ok\n"]);
  diskStalledMs = 1500;
  expect(await get("/readyz/disk")).toEqual([
    503,
    "[-]disk failed: a write to the log has not finished for 1.5s\n\n",
  ]);
  expect((await get("/readyz"))[0]).toBe(503);
  expect((await get("/livez"))[0]).toBe(200);
});

test("each check has a path of its own, and an unknown one is not found", async () => {
  readProblem = new Error("broken");
  expect(await get("/livez/serializable_read")).toEqual([503, "[-]serializable_read failed: broken\n\n"]);
  expect(await get("/readyz/non_learner?verbose")).toEqual([200, "[+]non_learner ok\nok\n"]);
  expect(await get("/readyz/nothing")).toEqual([404, "404 page not found\n"]);
  expect(await get("/livez/non_learner")).toEqual([404, "404 page not found\n"]);
});

test("versions that are not known are said so", async () => {
  expect(await get("/version")).toEqual([
    200,
    '{"etcdserver":"3.7.1","etcdcluster":"not_decided","storage":"unknown"}',
  ]);
});

test("what is read is only read by GET", async () => {
  for (const path of ["/health", "/version", "/livez", "/readyz/non_learner"]) {
    const answer = await ask(server.url, path, { method: "POST" });
    expect([answer.status, answer.headers.allow, answer.body]).toEqual([405, "GET", "Method Not Allowed\n"]);
  }
});

test("metrics are given as text", async () => {
  const answer = await ask(server.url, "/metrics");
  expect(answer.headers["content-type"]).toStartWith("text/plain; version=0.0.4");
  expect(answer.body).toBe("keelson_test 1\n");
});

test("what is not there is not found, and a path is served in its clean form only", async () => {
  expect(await get("/nothing")).toEqual([404, "404 page not found\n"]);
  expect(await get("/health/")).toEqual([404, "404 page not found\n"]);
  for (const path of ["//health", "/./health", "/a/../health"]) {
    const answer = await ask(server.url, path);
    expect([answer.status, answer.headers.location]).toEqual([307, "/health"]);
  }
  expect((await ask(server.url, `/${"x".repeat(20_000)}`)).status).toBe(414);
});
