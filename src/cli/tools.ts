/** The programs and commands beside the server: which name runs which. */

import { type Command, type Console, execute, flagsText } from "./command_line/mod.ts";
import { processConsole } from "./console.ts";
import { CLIENT_FLAGS, DEFRAG, defragmentMembers, SNAPSHOT_SAVE } from "./ctl/mod.ts";
import {
  DATA_DIRECTORY_FLAG,
  DEFRAG_FILE,
  defragmentDirectory,
  FILE_FLAGS,
  HASH_KV,
  MIGRATE,
  SNAPSHOT_RESTORE,
  SNAPSHOT_STATUS,
} from "./utl/mod.ts";
import { versionCommand } from "./version_command.ts";

const SNAPSHOT_SUMMARY = "Saves, checks and restores snapshots";

const OPTIONS: Command = {
  name: "options",
  summary: "Lists the flags that every command takes",
  run: async ({ console }) => {
    const flags = CLIENT_FLAGS.map((flag) => ({ ...flag, isHidden: false }));
    console.out(`The following options can be passed to any command:\n\n${flagsText(flags)}`);
    return 0;
  },
};

const ETCDCTL: Command = {
  name: "etcdctl",
  summary: "Talks to the members of a cluster",
  persistentFlags: CLIENT_FLAGS.map((flag) => ({ ...flag, isHidden: true })),
  subcommands: [
    DEFRAG,
    OPTIONS,
    { name: "snapshot", summary: "Saves snapshots", subcommands: [SNAPSHOT_SAVE] },
    versionCommand("etcdctl"),
  ],
  note: 'Use "etcdctl options" for a list of global command-line options (applies to all commands).',
  missing: [
    ...["alarm", "auth", "check", "compaction", "completion", "del", "downgrade", "elect", "endpoint", "get", "lease"],
    ...["lock", "make-mirror", "member", "move-leader", "put", "role", "txn", "user", "watch"],
  ],
};

const ETCDUTL: Command = {
  name: "etcdutl",
  summary: "Works on the files of members",
  persistentFlags: FILE_FLAGS,
  subcommands: [
    DEFRAG_FILE,
    HASH_KV,
    MIGRATE,
    { name: "snapshot", summary: "Checks and restores snapshots", subcommands: [SNAPSHOT_RESTORE, SNAPSHOT_STATUS] },
    versionCommand("etcdutl"),
  ],
  missing: ["completion"],
  repeatsErrors: true,
};

/** A command of one of the two above, with the flags it has there. */
function withFlags(command: Command, flags: Command["flags"]): Command {
  return { ...command, flags: [...command.flags ?? [], ...flags ?? []] };
}

const KEELSON: Command = {
  name: "keelson",
  summary: "etcd in one executable, and its tools",
  subcommands: [
    {
      name: "defrag",
      summary: "Gives space back on running members, or in the data directory of a stopped one",
      flags: [
        { ...DATA_DIRECTORY_FLAG, usage: `${DATA_DIRECTORY_FLAG.usage}; without it, running members are asked` },
        ...FILE_FLAGS.filter((flag) => !CLIENT_FLAGS.includes(flag)),
        ...DEFRAG.flags ?? [],
        ...CLIENT_FLAGS,
      ],
      run: (invocation) =>
        invocation.flags.isSet("data-dir") ? defragmentDirectory(invocation) : defragmentMembers(invocation),
    },
    withFlags(HASH_KV, FILE_FLAGS),
    withFlags(MIGRATE, FILE_FLAGS),
    {
      name: "snapshot",
      summary: SNAPSHOT_SUMMARY,
      subcommands: [
        withFlags(SNAPSHOT_RESTORE, FILE_FLAGS),
        withFlags(SNAPSHOT_SAVE, CLIENT_FLAGS),
        withFlags(SNAPSHOT_STATUS, FILE_FLAGS),
      ],
    },
  ],
};

/** The tool that `program`, called with `args`, asks for; undefined where it is the server. */
export function findTool(program: string, args: readonly string[]): Command | undefined {
  if (program === "etcdctl") return ETCDCTL;
  if (program === "etcdutl") return ETCDUTL;
  return KEELSON.subcommands!.some((command) => command.name === args[0]) ? KEELSON : undefined;
}

/** Runs a tool in this process and returns the exit code. */
export function runTool(root: Command, args: readonly string[], environment: Console["environment"]): Promise<number> {
  return execute(root, args, processConsole(environment, LOG_FORMATS.get(root) ?? "auto"));
}

/** Under their own names the tools log as etcd's do. */
const LOG_FORMATS = new Map<Command, "json" | "console">([[ETCDCTL, "json"], [ETCDUTL, "console"]]);

/** Lines for the help of the server. */
export function toolsHelp(): string {
  return KEELSON.subcommands!.map(({ name, summary }) => `  keelson ${name.padEnd(16)}${summary}.\n`).join("");
}
