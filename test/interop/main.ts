/**
 * `npm run test:interop`: etcd's own clients, other people's clients and etcd itself against the server under test.
 *
 *   npm run test:interop -- [--only name,...] [--seed N] [--ops N] [--subject "command"] [--long] [--list]
 *
 * The subject is `bun src/main.ts` unless --subject or KEELSON_COMMAND names another command; etcd's flags are appended to
 * it. Needs Go; node and Python for the clients written in them.
 */
import { parseArgs } from "node:util";
import { type Case, Context, type Settings } from "./context.ts";
import { sourceCommand } from "./process.ts";
import { buildTools, MissingRequirement } from "./tools.ts";
import { authLog } from "./cases/auth_log.ts";
import { bolt } from "./cases/bolt.ts";
import { clientv3 } from "./cases/clientv3.ts";
import { clusterChecks } from "./cases/cluster_checks.ts";
import { clusterElections } from "./cases/cluster_elections.ts";
import { clusterMigrate } from "./cases/cluster_migrate.ts";
import { clusterMixed } from "./cases/cluster_mixed.ts";
import { clusterRefused } from "./cases/cluster_refused.ts";
import { clusterSpoiled } from "./cases/cluster_spoiled.ts";
import { clusterSnapshot } from "./cases/cluster_snapshot.ts";
import { connect } from "./cases/connect.ts";
import { differential } from "./cases/differential.ts";
import { downgrade } from "./cases/downgrade.ts";
import { etcdctl } from "./cases/etcdctl.ts";
import { gateway } from "./cases/gateway.ts";
import { h2spec } from "./cases/h2spec.ts";
import { members } from "./cases/members.ts";
import { nodeClient } from "./cases/node_client.ts";
import { pythonGateway, pythonGrpc } from "./cases/python.ts";
import { raft } from "./cases/raft.ts";
import { space } from "./cases/space.ts";
import { snapshotTools } from "./cases/snapshot_tools.ts";
import { transport } from "./cases/transport.ts";
import { swap } from "./cases/swap.ts";
import { wal } from "./cases/wal.ts";

const CASES: Case[] = [
  etcdctl,
  clientv3,
  nodeClient,
  pythonGateway,
  pythonGrpc,
  connect,
  gateway,
  transport,
  h2spec,
  wal,
  bolt,
  authLog,
  space,
  downgrade,
  members,
  swap,
  raft,
  differential,
  snapshotTools,
  clusterMixed,
  clusterElections,
  clusterMigrate,
  clusterSnapshot,
  clusterRefused,
  clusterChecks,
  clusterSpoiled,
];

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    seed: { type: "string" },
    ops: { type: "string", default: "100000" },
    subject: { type: "string" },
    port: { type: "string", default: "21300" },
    long: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (flags.list) {
    for (const test of CASES) console.log(`${test.name.padEnd(16)}${test.about}`);
    return 0;
  }
  const only = flags.only?.split(",");
  const unknown = only?.find((name) => !CASES.some((test) => test.name === name));
  if (unknown !== undefined) {
    console.error(`no test is called ${unknown}; there are ${CASES.map((test) => test.name).join(", ")}`);
    return 2;
  }
  const settings: Settings = {
    subject: flags.subject ?? process.env["KEELSON_COMMAND"] ?? sourceCommand(),
    seed: flags.seed === undefined ? Math.floor(Math.random() * 1_000_000_000) + 1 : Number(flags.seed),
    operations: Number(flags.ops),
    port: Number(flags.port),
    isLong: flags.long,
  };
  try {
    await buildTools();
  } catch (error) {
    if (!(error instanceof MissingRequirement)) throw error;
    console.error(error.message);
    return 1;
  }
  let passed = 0, failed = 0;
  for (const test of CASES) {
    if (only !== undefined && !only.includes(test.name)) continue;
    if (await runCase(test, settings)) passed++;
    else failed++;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

async function runCase(test: Case, settings: Settings): Promise<boolean> {
  const context = new Context(test.name, settings);
  const beganMs = performance.now();
  const report = (verdict: string, detail: string) => {
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1).padStart(7);
    console.log(`${verdict.padEnd(5)} ${test.name.padEnd(16)} ${seconds} s  ${detail}`.trimEnd());
  };
  try {
    const remark = await test.run(context);
    report("ok", remark ?? "");
    return true;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    report("FAIL", text.split("\n")[0]!);
    for (const line of text.split("\n").slice(1)) console.log(`      ${line}`);
    console.log(context.logTails());
    return false;
  } finally {
    await context.stopServers();
  }
}
