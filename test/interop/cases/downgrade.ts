import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, executeOrThrow, Server } from "../process.ts";
import { programPath } from "../tools.ts";

const OPERATIONS = "200";
const TIMEOUT_MS = 30_000;

export const downgrade: Case = {
  name: "downgrade",
  about: "a member that goes back to etcd 3.6 as an operator would do it, and forward again: nothing is lost",
  async run(context) {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) await goBackAndForth(context, signal);
  },
};

async function goBackAndForth(context: Context, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  const directory = join(context.directory, signal);
  mkdirSync(directory);
  const ports = { clientPort: context.takePort(), peerPort: context.takePort() };
  const start = async (kind: "etcd" | "subject", command: string) => {
    const server = context.adopt(
      new Server({
        kind,
        command,
        directory,
        dataDirectory: join(directory, "data"),
        ...ports,
        flags: ["--log-level", "info"],
      }),
    );
    await server.start();
    return server;
  };

  const newer = await start("subject", context.settings.subject);
  await populate(newer, context.settings.seed);
  await executeOrThrow(programPath("etcdctl"), ["--endpoints", newer.endpoint, "downgrade", "enable", "3.6"]);
  await until("the server is ready", () => readFileSync(newer.logPath, "utf8").includes("ready to downgrade"));
  const left = await record(newer);
  await newer.stop(signal);

  const older = await start("etcd", programPath("etcd-3.6"));
  expectEqual("what etcd 3.6 finds", left, await record(older));
  // Once all members are of the older version the downgrade is over.
  await until("the downgrade is over", async () => (await status(older)).includes(`"downgradeInfo":{}`));
  await populate(older, context.settings.seed + 1);
  const leftByOlder = await record(older);
  await older.stop(signal);

  const again = await start("subject", context.settings.subject);
  expectEqual("what is found after etcd 3.6", leftByOlder, await record(again));
  await until("the cluster is of version 3.7 again", async () => (await status(again)).includes(`"3.7.0"`));
  await again.stop();
}

async function populate(server: Server, seed: number): Promise<void> {
  await executeOrThrow(programPath("state"), [
    ...["populate", "--endpoint", server.endpoint, "--seed", String(seed), "--ops", OPERATIONS],
  ]);
}

async function record(server: Server): Promise<string> {
  const { stdout } = await executeOrThrow(programPath("state"), ["record", "--endpoint", server.endpoint]);
  return stdout.split("\n").filter((line) => !line.startsWith("auth")).join("\n");
}

async function status(server: Server): Promise<string> {
  return await (await fetch(`${server.url}/v3/maintenance/status`, { method: "POST", body: "{}" })).text();
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const endMs = Date.now() + TIMEOUT_MS; Date.now() < endMs; await delay(200)) if (await isSo()) return;
  throw new Error(`${what}: not after ${TIMEOUT_MS / 1000} s`);
}
