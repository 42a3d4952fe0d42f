/**
 * `npm run bench`: etcd 3.7.1 and Keelson under the same loads, one after the other on the same disk, in rounds whose order
 * alternates; prints a table of medians and ratios and writes all figures as JSON.
 *
 *   npm run bench -- [--smoke] [--only row,...] [--rounds N] [--subject "command"] [--list]
 *
 * The subject is dist/keelson (`npm run build`). fsync is on for both. Needs Go, and Linux for the processes' figures.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { etcdCommand, Server, type ServerKind } from "../interop/process.ts";
import { buildTools, MissingRequirement, PROJECT_DIRECTORY } from "../interop/tools.ts";
import type { Figures } from "./measure.ts";
import { Cluster } from "./cluster.ts";
import { type ClusterGroup, FULL, type Group, type Scale, SMOKE } from "./definitions.ts";
import { GROUPS, ROWS } from "./rows.ts";
import { type Measured, printTable } from "./table.ts";

const OUTPUT_DIRECTORY = join(PROJECT_DIRECTORY, ".cache", "bench");

const { values: flags } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" },
    subject: { type: "string", default: join(PROJECT_DIRECTORY, "dist", "keelson") },
    port: { type: "string", default: "21400" },
    list: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (flags.list) {
    for (const row of ROWS) console.log(`${row.name.padEnd(20)}${row.title}`);
    return 0;
  }
  const only = flags.only?.split(",");
  const unknown = only?.find((name) => !ROWS.some((row) => row.name === name));
  if (unknown !== undefined) {
    console.error(`no row is called ${unknown}; there are ${ROWS.map((row) => row.name).join(", ")}`);
    return 2;
  }
  const program = flags.subject.split(/\s+/)[0]!;
  if (!existsSync(program)) {
    console.error(`${program} is not there: make it with \`npm run build\`, or name another with --subject`);
    return 1;
  }
  try {
    await buildTools();
  } catch (error) {
    if (!(error instanceof MissingRequirement)) throw error;
    console.error(error.message);
    return 1;
  }
  const scale: Scale = { ...(flags.smoke ? SMOKE : FULL), ...(flags.rounds && { rounds: Number(flags.rounds) }) };
  const wanted = (row: string) => only === undefined || only.includes(row);
  const measured: Measured = { etcd: {}, subject: {} };
  for (const group of GROUPS) {
    if (group.rows.some(wanted)) await runGroup(group, scale, wanted, measured);
  }
  printTable(measured, scale, wanted);
  mkdirSync(OUTPUT_DIRECTORY, { recursive: true });
  const path = join(OUTPUT_DIRECTORY, `${new Date().toISOString().replaceAll(":", "-")}.json`);
  writeFileSync(
    path,
    JSON.stringify({ machine: machine(), subject: flags.subject, smoke: flags.smoke, scale, measured }, undefined, 2),
  );
  console.log(`all figures: ${path}`);
  if (flags.smoke) console.log("a smoke run is too short to be quoted, and its store too small for the bars on pages");
  return Number(process.exitCode ?? 0);
}

/** Figures mean nothing without it. */
function machine() {
  const processors = cpus();
  return { processor: processors[0]?.model, count: processors.length, memory: totalmem(), kernel: release() };
}

async function runGroup(
  group: Group | ClusterGroup,
  scale: Scale,
  wanted: (row: string) => boolean,
  measured: Measured,
): Promise<void> {
  const rounds = "rounds" in group ? group.rounds(scale) : group.once ? 1 : scale.rounds;
  for (let round = 0; round < rounds; round++) {
    const order: ServerKind[] = round % 2 === 0 ? ["etcd", "subject"] : ["subject", "etcd"];
    for (const kind of order) {
      console.error(`round ${round + 1} of ${rounds}, ${kind}: ${group.rows.filter(wanted).join(", ")}`);
      const startMs = performance.now();
      try {
        const figures = await runAfresh(kind, group, scale, wanted);
        for (const [row, values] of Object.entries(figures)) {
          if (wanted(row)) (measured[kind][row] ??= []).push(...[values].flat());
        }
        console.error(`  took ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
      } catch (error) {
        // The other figures are still worth having; the table says which are missing.
        console.error(error instanceof Error ? error.message : error);
        process.exitCode = 1;
      }
    }
  }
}

/** On a server, or a cluster, that has just been started with an empty directory. */
async function runAfresh(
  kind: ServerKind,
  group: Group | ClusterGroup,
  scale: Scale,
  wanted: (row: string) => boolean,
): Promise<Record<string, Figures | Figures[]>> {
  const directory = join(OUTPUT_DIRECTORY, "run");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const port = Number(flags.port);
  const options = { kind, command: kind === "etcd" ? etcdCommand() : flags.subject, directory };
  const servers = "runOnCluster" in group
    ? new Cluster({ ...options, firstPort: port })
    : new Server({ ...options, clientPort: port, peerPort: port + 1 });
  try {
    await servers.start();
    if ("runOnCluster" in group) return await group.runOnCluster(servers as Cluster, scale, wanted);
    return await group.run(servers as Server, scale, wanted);
  } catch (error) {
    console.error(servers.logTail());
    throw error;
  } finally {
    await servers.stop("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}
