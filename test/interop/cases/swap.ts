import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, execute, executeOrThrow, Server } from "../process.ts";
import { programPath } from "../tools.ts";

/** Who works on the directory, one after the other. The first, an older etcd, is put before them. */
const HANDS = ["subject", "subject", "etcd", "subject", "etcd"] as const;
const ORIGINS = ["etcd-3.5", "etcd-3.6", "server"] as const;
const OPERATIONS = 400;
/** Several snapshots, cut segments and purges in each of their turns. */
const FLAGS = ["--snapshot-count", "150", "--max-wals", "2", "--max-snapshots", "2"];
const SECOND_PROCESS_MS = 3_000;

export const swap: Case = {
  name: "swap",
  about: "one data directory worked on by etcd 3.5, 3.6 or 3.7 and by the server under test in turn: nothing is lost",
  async run(context) {
    const directories: string[] = [];
    for (const origin of ORIGINS) directories.push(await passAround(context, origin));
    await refuseSecondProcess(context, directories[0]!);
    return `seed ${context.settings.seed}: ${ORIGINS.length} directories, ${HANDS.length} changes of hands each`;
  },
};

/** Each of them finds what the one before has left, and adds to it; half of them are killed. */
async function passAround(context: Context, origin: typeof ORIGINS[number]): Promise<string> {
  const directory = join(context.directory, origin);
  mkdirSync(directory);
  const dataDirectory = join(directory, "data");
  const ports = { clientPort: context.takePort(), peerPort: context.takePort() };
  let before: string | undefined;
  for (const [turn, hand] of [origin, ...HANDS].entries()) {
    const command = hand === "subject" ? context.settings.subject : programPath(hand === "etcd" ? "server" : hand);
    const kind = hand === "subject" ? "subject" : "etcd";
    const server = context.adopt(
      new Server({ kind, command, directory, dataDirectory, ...ports, advertisedPort: ports.clientPort, flags: FLAGS }),
    );
    await server.start();
    const found = await record(server);
    const who = `${origin}, turn ${turn}, ${hand}`;
    if (before !== undefined) {
      const isAuthServed = !found.includes("auth not served") && !before.includes("auth not served");
      expectEqual(
        `${who} does not find what was left`,
        comparable(before, isAuthServed),
        comparable(found, isAuthServed),
      );
    }
    const seed = String(context.settings.seed * 100 + turn);
    const auth = kind === "etcd" ? ["--auth"] : [];
    await executeOrThrow(programPath("state"), [
      ...["populate", "--endpoint", server.endpoint, "--seed", seed, "--ops", String(OPERATIONS), ...auth],
    ]);
    before = await record(server);
    await server.stop((context.settings.seed + turn) % 2 === 0 ? "SIGKILL" : "SIGTERM");
    if (hand === "subject") await checkWithTools(dataDirectory);
  }
  return dataDirectory;
}

async function record(server: Server): Promise<string> {
  return (await executeOrThrow(programPath("state"), ["record", "--endpoint", server.endpoint])).stdout;
}

function comparable(record: string, isAuthServed: boolean): string {
  return record.split("\n").filter((line) => isAuthServed || !line.startsWith("auth")).join("\n");
}

/** etcd's own tools on what the subject has left. */
async function checkWithTools(dataDirectory: string): Promise<void> {
  const database = join(dataDirectory, "member", "snap", "db");
  await executeOrThrow(programPath("bbolt"), ["check", database]);
  await executeOrThrow(programPath("etcd-dump-db"), ["list-bucket", database]);
  for (const bucket of ["key", "lease", "auth", "authRoles", "authUsers", "meta", "members"]) {
    await executeOrThrow(programPath("etcd-dump-db"), ["iterate-bucket", database, bucket, "--decode"]);
  }
  await executeOrThrow(programPath("etcdutl"), ["hashkv", database]);
  await executeOrThrow(programPath("waldump"), [dataDirectory]);
}

/** Neither program opens what the other holds. */
async function refuseSecondProcess(context: Context, dataDirectory: string): Promise<void> {
  for (const [holder, intruder] of [["subject", "etcd"], ["etcd", "subject"], ["subject", "subject"]] as const) {
    const command = (hand: "subject" | "etcd") => hand === "subject" ? context.settings.subject : programPath("server");
    const make = (hand: "subject" | "etcd", advertisedPort: number) =>
      context.adopt(
        new Server({
          kind: hand,
          command: command(hand),
          directory: context.directory,
          dataDirectory,
          clientPort: context.takePort(),
          peerPort: context.takePort(),
          advertisedPort,
          flags: FLAGS,
        }),
      );
    const held = make(holder, context.settings.port + 90);
    await held.start();
    const before = await record(held);
    const second = make(intruder, context.settings.port + 90);
    const outcome = await Promise.race([
      second.start().then(() => "started", () => "refused"),
      delay(SECOND_PROCESS_MS).then(() => "waits"),
    ]);
    // etcd waits for the lock and says so; we say so and end.
    if (outcome !== (intruder === "etcd" ? "waits" : "refused")) {
      throw new Error(
        `a second process (${intruder}) on the data directory of ${holder}: ${outcome}\n${second.logTail()}`,
      );
    }
    await second.stop("SIGKILL");
    if (intruder === "subject" && !/in use by another process/.test(second.logTail())) {
      throw new Error(`the second process does not say why it ends\n${second.logTail()}`);
    }
    expectEqual(`${intruder} has changed what ${holder} holds`, before, await record(held));
    const { code } = await execute(programPath("etcdctl"), ["--endpoints", held.endpoint, "put", "after", "intrusion"]);
    if (code !== 0) throw new Error(`${holder} does not write any more`);
    await held.stop("SIGTERM");
  }
}
