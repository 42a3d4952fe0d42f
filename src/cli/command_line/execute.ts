import { ETCD_VERSION, KEELSON_VERSION } from "../../base/version.ts";
import { type Command, CommandError, type Console, ExitCode } from "./command.ts";
import { findCommand, firstPlain, flagsOf, type Found, parseFlags, UsageError } from "./parse.ts";
import { helpText, usageText } from "./usage.ts";

/** Names that are shown for an unknown command are at most so many edits away from it (cobra's figure). */
const SUGGESTION_DISTANCE_MAX = 2;

/** Runs what `args` name below `root` and returns the exit code, with everything printed. */
export async function execute(root: Command, args: readonly string[], console: Console): Promise<number> {
  if (args[0] === "help") {
    console.out(helpText(findCommand(root, args.slice(1)).path));
    return ExitCode.SUCCESS;
  }
  const found = findCommand(root, args);
  try {
    return await run(found, console);
  } catch (error) {
    if (error instanceof CommandError) {
      console.error(`Error: ${error.message}\n`);
      return error.code;
    }
    if (!(error instanceof UsageError)) throw error;
    const below = error instanceof UnknownCommandError
      ? `Run '${root.name} --help' for usage.\n`
      : `${usageText(found.path)}\n`;
    const line = `Error: ${error.message}\n`;
    console.error(line + below + (root.repeatsErrors === true ? line : ""));
    return ExitCode.ERROR;
  }
}

class UnknownCommandError extends UsageError {}

async function run({ path, args }: Found, console: Console): Promise<number> {
  const command = path[path.length - 1];
  const flags = flagsOf(path);
  // A root without work of its own is left only for a command that it has not; that goes before what its flags are.
  if (path.length === 1 && command.run === undefined) refuseUnknown(command, args);
  const plain = parseFlags(args, flags);
  if (flags.boolean("help") || command.run === undefined) {
    console.out(helpText(path));
    return ExitCode.SUCCESS;
  }
  if (command.argumentCount !== undefined && plain.length !== command.argumentCount) {
    throw new UsageError(`accepts ${command.argumentCount} arg(s), received ${plain.length}`);
  }
  const unset = (command.requiredFlags ?? []).filter((name) => !flags.isSet(name)).sort();
  if (unset.length > 0) {
    throw new UsageError(`required flag(s) ${unset.map((name) => `"${name}"`).join(", ")} not set`);
  }
  return await command.run({ flags, arguments: plain, console });
}

function refuseUnknown(root: Command, args: readonly string[]): void {
  const position = firstPlain(args, flagsOf([root]));
  if (position < 0) return;
  const name = args[position];
  if (root.missing?.includes(name)) {
    throw new CommandError(
      ExitCode.ERROR,
      `${root.name} ${name} is not part of Keelson ${KEELSON_VERSION} yet: ` +
        `etcd's own ${root.name} ${ETCD_VERSION} works with Keelson`,
    );
  }
  const near = (root.subcommands ?? []).map((command) => command.name).filter((candidate) =>
    candidate.startsWith(name) || distance(name.toLowerCase(), candidate) <= SUGGESTION_DISTANCE_MAX
  );
  const suggestions = near.length === 0 ? "" : `\n\nDid you mean this?\n${near.map((text) => `\t${text}\n`).join("")}`;
  throw new UnknownCommandError(`unknown command ${JSON.stringify(name)} for "${root.name}"${suggestions}`);
}

/** Letters to insert, remove or replace to get from one text to the other (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const replaced = row[j - 1] + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[to.length];
}
