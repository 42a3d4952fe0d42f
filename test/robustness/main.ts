/**
 * `npm run test:robustness`: the server as a real process, and what machines, disks and clients may do to it.
 *
 *   npm run test:robustness -- [--long] [--rounds N] [--only name,...] [--seed N] [--subject "command"]
 *     [--guest "command"] [--list]
 *
 * The default size takes about six minutes, half of them clusters; --long (or KEELSON_LONG=1) takes the sizes that are
 * promised: hundreds of kills, a hundred ranges of 300 MB, a deletion of a million keys, an hour of faults. The subject is
 * `bun src/main.ts` unless --subject or KEELSON_COMMAND names another command; --guest names one (etcd's, for instance) that
 * one member of each cluster runs instead. KEELSON_VERBOSE=1 prints what each attack cost. Linux only; small disks and
 * network namespaces need root, the clients whose history is judged need Go.
 */
import { parseArgs } from "node:util";
import { bigDelete } from "./cases/big_delete.ts";
import { bigRanges } from "./cases/big_ranges.ts";
import { bitFlips } from "./cases/bit_flips.ts";
import { checkpointDiskFull } from "./cases/checkpoint_disk_full.ts";
import { checkpointKill } from "./cases/checkpoint_kill.ts";
import { clusterDisks } from "./cases/cluster_disks.ts";
import { clusterFaults, clusterNamespaces } from "./cases/cluster_faults.ts";
import { clusterHandover } from "./cases/cluster_handover.ts";
import { clusterIntruders } from "./cases/cluster_intruders.ts";
import { clusterMembers } from "./cases/cluster_members.ts";
import { connections } from "./cases/connections.ts";
import { diskFull } from "./cases/disk_full.ts";
import { drain } from "./cases/drain.ts";
import { extremes } from "./cases/extremes.ts";
import { hostile } from "./cases/hostile.ts";
import { kill } from "./cases/kill.ts";
import { outOfSpace } from "./cases/out_of_space.ts";
import { slowSnapshot } from "./cases/slow_snapshot.ts";
import { startup } from "./cases/startup.ts";
import { toolsDiskFull } from "./cases/tools_disk_full.ts";
import { type Case, Context, type Settings } from "./context.ts";
import { sourceCommand } from "./server.ts";

const CASES: Case[] = [
  startup,
  kill,
  checkpointKill,
  bitFlips,
  diskFull,
  checkpointDiskFull,
  slowSnapshot,
  toolsDiskFull,
  outOfSpace,
  drain,
  extremes,
  hostile,
  connections,
  bigDelete,
  bigRanges,
  clusterFaults,
  clusterNamespaces,
  clusterIntruders,
  clusterHandover,
  clusterDisks,
  clusterMembers,
];

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    seed: { type: "string" },
    rounds: { type: "string" },
    long: { type: "boolean", default: process.env["KEELSON_LONG"] === "1" },
    subject: { type: "string" },
    guest: { type: "string" },
    port: { type: "string", default: "21700" },
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
  const command = flags.subject ?? process.env["KEELSON_COMMAND"];
  const settings: Settings = {
    subject: command === undefined ? sourceCommand() : command.split(/\s+/),
    guest: flags.guest?.split(/\s+/),
    seed: flags.seed === undefined ? Math.floor(Math.random() * 1_000_000_000) + 1 : Number(flags.seed),
    port: Number(flags.port),
    isLong: flags.long,
    rounds: flags.rounds === undefined ? undefined : Number(flags.rounds),
  };
  console.log(`seed ${settings.seed}`);
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
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1).padStart(6);
    console.log(`${verdict.padEnd(4)} ${test.name.padEnd(15)} ${seconds} s  ${detail}`.trimEnd());
  };
  let isPassed = false;
  try {
    report("ok", await test.run(context));
    isPassed = true;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    report("FAIL", text.split("\n")[0]!);
    for (const line of text.split("\n").slice(1)) console.log(`      ${line}`);
    console.log(context.logTails());
  } finally {
    await context.end();
  }
  // What a failure left is worth a look; the rest is large.
  if (isPassed) context.removeFiles();
  return isPassed;
}
