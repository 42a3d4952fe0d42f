import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { leaderOf, type MemberProcess, MemberProcesses, until } from "./cluster_processes.ts";

const TIMEOUT_MS = 60_000;
/** For a machine that has nothing else to do it is 500 ms, and 1.5 s. */
const HANDOVER_MS_MAX = 1500;
const STOP_MS_MAX = 4000;
/** Changes of the membership need not wait until all members have been connected for 5 s. */
const HASTY = ["--strict-reconfig-check=false"];

const processes = new MemberProcesses();
let members: MemberProcess[] = [];
let cluster = "";

beforeAll(async () => {
  members = await processes.add("a", "b", "c");
  cluster = MemberProcesses.initialCluster(members);
});
afterAll(() => processes.close());

test("three processes become a cluster by etcd's flags", async () => {
  for (const member of members) member.start(cluster, ...HASTY);
  for (const member of members) await member.ready();
  await members[0].put("key", "value");
  for (const member of members) expect(await member.get("key")).toBe("value");
  const statuses = await Promise.all(members.map((member) => member.status()));
  expect(new Set(statuses.map(({ header }) => header.cluster_id)).size).toBe(1);
  expect(new Set(statuses.map(({ header }) => header.member_id)).size).toBe(3);
}, TIMEOUT_MS);

test("a leader that is told to stop hands over first, and is soon gone, whatever its clients do", async () => {
  const leader = await leaderOf(members);
  const others = members.filter((member) => member !== leader);
  const watch = await fetch(`${leader.clientUrl}/v3/watch`, {
    method: "POST",
    body: JSON.stringify({ create_request: { key: btoa("key") } }),
  });
  let isBusy = true;
  const work = Array.from({ length: 8 }, async (_, i) => {
    while (isBusy) await leader.put(`busy${i}`, "value").catch(() => isBusy = false);
  });
  const beganMs = performance.now();
  const end = leader.signal("SIGTERM");
  await until(async () => await others[0].leads() || await others[1].leads(), "another member leads");
  expect(performance.now() - beganMs).toBeLessThan(HANDOVER_MS_MAX);
  expect((await end).signal).toBe("SIGTERM");
  expect(performance.now() - beganMs).toBeLessThan(STOP_MS_MAX);
  isBusy = false;
  await Promise.all(work);
  await watch.body?.cancel().catch(() => {});
  await others[0].put("key", "without it");
  leader.start(cluster, ...HASTY);
  await leader.ready();
  expect(await leader.get("key")).toBe("without it");
}, TIMEOUT_MS);

test("a member whose disk was wiped is refused under its old identity, and told the way out", async () => {
  const member = members[2];
  await member.signal("SIGKILL");
  await leaderOf(members.slice(0, 2));
  rmSync(member.dataDirectory, { recursive: true });
  for (const state of ["new", "existing"]) {
    member.start(cluster, "--initial-cluster-state", state);
    expect((await member.end).code).toBe(1);
    expect(String(member.log.at(-1)!.error)).toMatch(/has already been bootstrapped.*etcdctl member remove/);
  }
}, TIMEOUT_MS);

test("a member with another token is a stranger: it says so and never takes part", async () => {
  const member = members[2];
  member.start(cluster, "--initial-cluster-token", "another");
  await member.logged("cluster ID mismatch");
  await members[0].logged("cluster ID mismatch");
  expect(await members[0].get("key")).toBe("without it");
  expect(member.log.some(({ msg }) => msg.startsWith("published"))).toBe(false);
  await member.signal("SIGKILL");
  rmSync(member.dataDirectory, { recursive: true });
}, TIMEOUT_MS);

test("a member is removed, which ends it, and another one takes its place", async () => {
  const [a, b] = members;
  const list = await a.call<{ members: { ID: string; name: string }[] }>("cluster/member/list", {});
  const idOf = (name: string) => list.members.find((member) => member.name === name)!.ID;
  await a.call("cluster/member/remove", { ID: idOf("c") });
  const [d] = await processes.add("d");
  await until(
    () => a.call("cluster/member/add", { peerURLs: [d.peerUrl] }).then(() => true, () => false),
    "d is added",
  );
  d.start(MemberProcesses.initialCluster([a, b, d]), "--initial-cluster-state", "existing");
  await d.ready();
  expect(await d.get("key")).toBe("without it");

  await a.call("cluster/member/remove", { ID: idOf("b") });
  // As etcd ends: with 0 while it serves, and with 1 when it tries to come back.
  expect((await b.end).code).toBe(0);
  expect(b.log.at(-1)!.msg).toBe("data-dir used by this member must be removed");
  b.start(cluster);
  expect((await b.end).code).toBe(1);
  expect(b.log.at(-1)!.msg).toBe("data-dir used by this member must be removed");
  members = [a, d];
}, TIMEOUT_MS);

test("what is left of a cluster goes on as one of a single member, if it is forced", async () => {
  const [a, d] = members;
  await a.put("last", "value");
  await until(async () => await d.get("last") === "value", "both have it");
  // A commit index is durable a tick later.
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (const member of members) await member.signal("SIGKILL");
  d.start(cluster, "--force-new-cluster");
  await d.ready();
  expect([await d.get("key"), await d.get("last")]).toEqual(["without it", "value"]);
  const list = await d.call<{ members: { name: string }[] }>("cluster/member/list", {});
  expect(list.members.map(({ name }) => name)).toEqual(["d"]);
  await d.put("alone", "value");
  await d.signal("SIGTERM");
}, TIMEOUT_MS);

test("a peer port in use is told as a client port is", async () => {
  const [a, b] = await processes.add("e", "f");
  a.start(MemberProcesses.initialCluster([a]));
  await a.ready();
  b.start(MemberProcesses.initialCluster([b]), "--listen-peer-urls", a.peerUrl);
  expect((await b.end).code).toBe(1);
  expect(b.log.at(-1)!.error).toBe(
    `cannot listen on ${a.peerUrl}: address already in use (by another process: another etcd or keelson perhaps)`,
  );
}, TIMEOUT_MS);
