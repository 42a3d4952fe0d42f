/**
 * A command line, read as Go's cobra and pflag packages read it: flags may stand anywhere, also before the subcommand
 * they belong to; a subcommand may be shortened as far as it stays the only one with that beginning.
 */

import type { Command } from "./command.ts";
import { type Flag, FlagError, readFlagValue } from "./flag.ts";
import { FlagValues } from "./flag_values.ts";

/** A command line that is refused; the text is Go's. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

export interface Found {
  /** From the root to the command itself. */
  readonly path: readonly Command[];
  /** What is left once the names of the commands are taken out. */
  readonly args: readonly string[];
}

const HELP_FLAG: Flag = { name: "help", shorthand: "h", kind: "bool", defaultValue: false, usage: "" };

/** The command that `args` name. What follows its name is not looked at. */
export function findCommand(root: Command, args: readonly string[]): Found {
  const path = [root];
  let rest = [...args];
  for (;;) {
    const command = path[path.length - 1];
    const position = firstPlain(rest, flagsOf(path));
    if (position < 0) break;
    const next = subcommandNamed(command, rest[position]);
    if (next === undefined) break;
    rest = rest.toSpliced(position, 1);
    path.push(next);
  }
  return { path, args: rest };
}

/** Index of the first argument that is neither a flag nor the value of one; -1 if there is none. */
export function firstPlain(args: readonly string[], flags: FlagValues): number {
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (argument === "--") return -1;
    if (argument.startsWith("--")) {
      // A flag of a later command is not known yet; it is taken to have a value, as cobra does.
      if (!argument.includes("=") && flags.find(argument.slice(2))?.kind !== "bool") index++;
    } else if (argument.length === 2 && argument[0] === "-") {
      if (flags.findShorthand(argument[1])?.kind !== "bool") index++;
    } else if (argument !== "" && argument[0] !== "-") {
      return index;
    }
  }
  return -1;
}

function subcommandNamed(command: Command, name: string): Command | undefined {
  const candidates = command.subcommands ?? [];
  const exact = candidates.find((candidate) => candidate.name === name);
  if (exact !== undefined) return exact;
  const shortened = candidates.filter((candidate) => candidate.name.startsWith(name));
  return shortened.length === 1 ? shortened[0] : undefined;
}

/** The flags that the last command of `path` takes, none of them set. */
export function flagsOf(path: readonly Command[]): FlagValues {
  const own = path[path.length - 1].flags ?? [];
  return new FlagValues([...path.flatMap((command) => command.persistentFlags ?? []), ...own, HELP_FLAG]);
}

/** Puts the flags of `args` into `flags` and returns the other arguments. Throws UsageError. */
export function parseFlags(args: readonly string[], flags: FlagValues): string[] {
  const plain: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index];
    if (argument === "--") return [...plain, ...args.slice(index + 1)];
    if (argument.length < 2 || argument[0] !== "-") {
      plain.push(argument);
    } else if (argument[1] === "-") {
      index = parseLong(args, index, flags);
    } else {
      index = parseShort(args, index, flags);
    }
  }
  return plain;
}

/** "--name", "--name value" or "--name=value" at `index`. Returns the index of the last argument it took. */
function parseLong(args: readonly string[], index: number, flags: FlagValues): number {
  const body = args[index].slice(2);
  if (body[0] === "-" || body[0] === "=") throw new UsageError(`bad flag syntax: ${args[index]}`);
  const equals = body.indexOf("=");
  const name = equals < 0 ? body : body.slice(0, equals);
  const flag = flags.find(name);
  if (flag === undefined) throw new UsageError(`unknown flag: --${name}`);
  if (equals >= 0) {
    setFlag(flags, flag, body.slice(equals + 1));
  } else if (flag.kind === "bool") {
    flags.set(flag, true);
  } else {
    if (++index === args.length) throw new UsageError(`flag needs an argument: --${name}`);
    setFlag(flags, flag, args[index]);
  }
  return index;
}

/** "-w", "-w value", "-wvalue", "-w=value", or several booleans in one. Returns the index of the last argument it took. */
function parseShort(args: readonly string[], index: number, flags: FlagValues): number {
  const letters = args[index].slice(1);
  for (let at = 0; at < letters.length; at++) {
    const flag = flags.findShorthand(letters[at]);
    const shown = `'${letters[at]}' in -${letters.slice(at)}`;
    if (flag === undefined) throw new UsageError(`unknown shorthand flag: ${shown}`);
    const rest = letters.slice(at + 1);
    if (rest.length > 1 && rest[0] === "=") {
      setFlag(flags, flag, rest.slice(1));
      return index;
    }
    if (flag.kind === "bool") {
      flags.set(flag, true);
      continue;
    }
    if (rest === "" && ++index === args.length) throw new UsageError(`flag needs an argument: ${shown}`);
    setFlag(flags, flag, rest === "" ? args[index] : rest);
    return index;
  }
  return index;
}

function setFlag(flags: FlagValues, flag: Flag, text: string): void {
  try {
    flags.set(flag, readFlagValue(flag.kind, text));
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    const name = flag.shorthand === undefined ? `--${flag.name}` : `-${flag.shorthand}, --${flag.name}`;
    throw new UsageError(`invalid argument ${JSON.stringify(text)} for "${name}" flag: ${error.message}`);
  }
}
