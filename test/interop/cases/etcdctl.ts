import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { delay, execute, type Server } from "../process.ts";
import { programPath } from "../tools.ts";
import { type Case, expectEqual } from "../context.ts";

/** One etcdctl invocation, made against both servers in turn; `input` goes to its standard input. */
interface Command {
  readonly words: string[];
  readonly input?: string;
  /** Fields of JSON output that are the server's own business. */
  readonly ignore?: string[];
}

const JSON_OUT = ["-w", "json"];

const COMMANDS: Command[] = [
  { words: ["put", "a", "1"] },
  { words: ["put", "b", "2", "--prev-kv"] },
  { words: ["put", "b", "two", "--prev-kv"] },
  { words: ["put", "dir/1", "one"] },
  { words: ["put", "dir/2", "two"] },
  { words: ["put", "dir/3", "--", "-3"] },
  { words: ["put", "from-stdin"], input: "read from standard input\n" },
  { words: ["put", "absent", "--ignore-value"] },
  { words: ["put", "b", "x", "--lease=7b"] },
  { words: ["get", "a"] },
  { words: ["get", "absent"] },
  { words: ["get", "", "--prefix"] },
  { words: ["get", "dir/", "--prefix", ...JSON_OUT] },
  { words: ["get", "dir/", "--prefix", "-w", "fields"] },
  { words: ["get", "dir/", "--prefix", "-w", "protobuf"] },
  { words: ["get", "dir/", "--prefix", "--keys-only"] },
  { words: ["get", "dir/", "--prefix", "--count-only", "-w", "fields"] },
  { words: ["get", "dir/", "--prefix", "--limit", "2", ...JSON_OUT] },
  { words: ["get", "dir/", "--prefix", "--order", "DESCEND", "--sort-by", "VALUE"] },
  { words: ["get", "b", "--from-key", "--print-value-only"] },
  { words: ["get", "a", "dir/2", "--consistency", "s", ...JSON_OUT] },
  { words: ["get", "b", "--rev", "3", ...JSON_OUT] },
  { words: ["get", "b", "--rev", "3000"] },
  { words: ["get", "dir/", "--prefix", "--min-mod-rev", "5", "--max-create-rev", "6"] },
  { words: ["del", "dir/2", "--prev-kv"] },
  { words: ["del", "absent"] },
  { words: ["put", "dir/2", "again"] },
  { words: ["txn"], input: `value("a") = "1"\nver("b") > "1"\n\nput a 10\nget dir/ --prefix\n\nget a\n\n` },
  { words: ["txn", ...JSON_OUT], input: `mod("a") = "2"\n\nput a never\n\nget a\ndel b\n\n` },
  { words: ["txn"], input: `create("a") = "2"\n\nput a 1\nput a 2\n\n\n` },
  { words: ["compaction", "5"] },
  { words: ["compaction", "5"] },
  { words: ["compaction", "9999"] },
  { words: ["compaction", "7", "--physical"] },
  { words: ["get", "a", "--rev", "3"] },
  { words: ["del", "dir/", "--prefix", ...JSON_OUT] },
  { words: ["del", "zzz", "--from-key"] },
  { words: ["lease", "revoke", "7b"] },
  { words: ["lease", "timetolive", "7b"] },
  { words: ["lease", "keep-alive", "--once", "7b"] },
  { words: ["lease", "list"] },
  { words: ["member", "list", ...JSON_OUT] },
  { words: ["member", "list", "-w", "table"] },
  { words: ["member", "list"] },
  { words: ["alarm", "list"] },
  { words: ["endpoint", "hashkv", ...JSON_OUT], ignore: ["Endpoint"] },
  {
    words: ["endpoint", "status", ...JSON_OUT],
    ignore: ["Endpoint", "dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex"],
  },
  { words: ["endpoint", "health", ...JSON_OUT], ignore: ["endpoint", "took"] },
  { words: ["get", "", "--from-key", ...JSON_OUT] },
  { words: ["version"] },
  { words: ["alarm", "disarm"] },
  { words: ["move-leader", "77"] },
  { words: ["downgrade", "validate", "3.6"] },
  { words: ["downgrade", "validate", "3.5"] },
  { words: ["downgrade", "validate", "3.x"] },
  { words: ["downgrade", "enable", "3.6"] },
  { words: ["downgrade", "enable", "3.6"] },
  { words: ["downgrade", "cancel", ...JSON_OUT] },
  { words: ["downgrade", "cancel"] },
];

export const etcdctl: Case = {
  name: "etcdctl",
  about: "etcdctl 3.7.1: what it prints and how it exits, as against etcd",
  async run(context) {
    const [etcd, subject] = await context.startBoth();
    for (const command of COMMANDS) {
      const [expected, actual] = await Promise.all([invoke(etcd, command), invoke(subject, command)]);
      expectEqual(`etcdctl ${command.words.join(" ")}`, expected, actual);
    }
    for (const [name, story] of Object.entries(STORIES)) {
      const [expected, actual] = await Promise.all([story(etcd), story(subject)]);
      expectEqual(`etcdctl ${name}`, expected, actual);
    }
    return `${COMMANDS.length} commands, ${Object.keys(STORIES).length} stories`;
  },
};

function etcdctlArguments(server: Server, words: string[]): string[] {
  return ["--endpoints", server.endpoint, "--command-timeout", "10s", ...words];
}

/** Everything an operator sees, less addresses, log lines with times, and the fields named. */
async function invoke(server: Server, command: Command): Promise<string> {
  const { code, stdout, stderr } = await execute(programPath("etcdctl"), etcdctlArguments(server, command.words), {
    input: command.input ?? "",
    timeoutMs: 20_000,
  });
  const said = stderr.split("\n").filter((line) => !line.startsWith(`{"level"`)).join("\n");
  return `exit ${code}\n${without(stdout, command.ignore)}\n${said}`.replaceAll(server.endpoint, "ENDPOINT");
}

function without(text: string, fields: string[] | undefined): string {
  if (fields === undefined) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text; // Not JSON is a difference, to be shown as it is.
  }
  return JSON.stringify(parsed, (key, value) => fields.includes(key) ? undefined : value);
}

/** What takes several invocations, or one that goes on. Each returns what was seen. */
const STORIES: Record<string, (server: Server) => Promise<string>> = {
  "lease grant, keep-alive, timetolive, revoke": async (server) => {
    const granted = await invoke(server, { words: ["lease", "grant", "600"] });
    const id = /lease ([0-9a-f]+) granted/.exec(granted)?.[1] ?? "";
    const seen = [granted];
    for (
      const words of [
        ["put", "leased", "x", `--lease=${id}`],
        ["get", "leased", "-w", "fields"],
        ["lease", "timetolive", id, "--keys"],
        ["lease", "keep-alive", "--once", id],
        ["lease", "list"],
        ["lease", "revoke", id],
        ["get", "leased"],
        ["lease", "timetolive", id],
      ]
    ) seen.push(await invoke(server, { words }));
    return seen.join("\n").replaceAll(id, "ID").replaceAll(String(BigInt(`0x${id || "0"}`)), "ID")
      .replace(/remaining\(\d+s\)/g, "remaining");
  },

  "watch from the past and live": async (server) => {
    await invoke(server, { words: ["put", "watched/1", "first"] });
    const first = await invoke(server, { words: ["get", "watched/1", "-w", "fields"] });
    const revision = /"ModRevision" : (\d+)/.exec(first)?.[1] ?? "0";
    const words = ["watch", "watched/", "--prefix", "--prev-kv", "--rev", revision];
    return await follow(server, words, 10, async () => {
      await invoke(server, { words: ["put", "watched/1", "second"] });
      await invoke(server, { words: ["del", "watched/1"] });
    });
  },

  "watch of a compacted revision": (server) => invoke(server, { words: ["watch", "a", "--rev", "2"] }),

  "watch as JSON with progress": async (server) =>
    await follow(server, ["watch", "json", "-w", "json"], 1, async () => {
      await invoke(server, { words: ["put", "json", "x"] });
    }),

  "lock around a command": async (server) =>
    (await invoke(server, { words: ["lock", "name", "--", "echo", "inside"] })) +
    (await invoke(server, { words: ["lock", "name", "--", "sh", "-c", "exit 3"] })) +
    (await invoke(server, { words: ["get", "name", "--prefix"] })),

  "elect, listen": async (server) => {
    const seen = await follow(server, ["elect", "office", "me"], 2, async () => {});
    const key = /office\/[0-9a-f]+/.exec(seen)?.[0] ?? "no key";
    return seen.replaceAll(key, "KEY");
  },
};

/**
 * Runs an etcdctl that does not end by itself until it has printed that many lines; `meanwhile` runs once it is up, as
 * far as that can be seen from outside: a watch prints nothing before its first event.
 */
async function follow(
  server: Server,
  words: string[],
  lineCount: number,
  meanwhile: () => Promise<void>,
): Promise<string> {
  const child = spawn(programPath("etcdctl"), etcdctlArguments(server, words), { stdio: ["pipe", "pipe", "ignore"] });
  const lines: string[] = [];
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const enough = new Promise<void>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      lines.push(line);
      if (lines.length >= lineCount) resolve();
    });
  });
  await delay(500);
  await meanwhile();
  await Promise.race([enough, exited, delay(10_000)]);
  child.kill("SIGINT");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
  await exited;
  clearTimeout(timer);
  return lines.slice(0, lineCount).join("\n");
}
