/** Help of the tools, in the form of Go's cobra. */

import { formatDuration } from "../../base/duration.ts";
import type { Command } from "./command.ts";
import type { Flag } from "./flag.ts";

/** What `--help` prints on standard output. */
export function helpText(path: readonly Command[]): string {
  const command = path[path.length - 1];
  const about = command.description ?? command.summary;
  return `${about.trimEnd()}\n\n${usageText(path)}`;
}

/** What stands below an error of the command line. */
export function usageText(path: readonly Command[]): string {
  const root = path[0];
  const command = path[path.length - 1];
  const name = path.map((part) => part.name).join(" ");
  let text = "Usage:\n";
  if (command.run !== undefined) {
    text += `  ${[name, command.argumentsUsage, "[flags]"].filter((part) => part !== undefined).join(" ")}\n`;
  }
  const subcommands = command.subcommands ?? [];
  if (subcommands.length > 0) {
    text += `  ${name} [command]\n\nAvailable Commands:\n`;
    for (const { name, summary } of subcommands) text += `  ${name.padEnd(11)} ${summary}\n`;
  }
  const help: Flag = {
    name: "help",
    shorthand: "h",
    kind: "bool",
    defaultValue: false,
    usage: `help for ${command.name}`,
  };
  const isRoot = path.length === 1;
  const local = [...(command.flags ?? []), ...(isRoot ? command.persistentFlags ?? [] : []), help];
  text += `\nFlags:\n${flagsText(local)}`;
  const inherited = isRoot ? [] : path.slice(0, -1).flatMap((part) => part.persistentFlags ?? []);
  if (inherited.some((flag) => !flag.isHidden)) text += `\nGlobal Flags:\n${flagsText(inherited)}`;
  if (subcommands.length > 0) text += `\nUse "${name} [command] --help" for more information about a command.\n`;
  if (root.note !== undefined) text += `${root.note}\n`;
  return text;
}

/** One line a flag: names and kind, what it is for, its default. */
export function flagsText(flags: readonly Flag[]): string {
  const shown = flags.filter((flag) => !flag.isHidden).sort((a, b) => a.name < b.name ? -1 : 1);
  const heads = shown.map((flag) => {
    const short = flag.shorthand === undefined ? "    " : `-${flag.shorthand}, `;
    return `  ${short}--${flag.name} ${KIND_NAMES[flag.kind]}`.trimEnd();
  });
  const width = Math.max(0, ...heads.map((head) => head.length));
  return shown.map((flag, index) => `${heads[index].padEnd(width)}   ${flag.usage}${defaultText(flag)}\n`).join("");
}

const KIND_NAMES: Record<Flag["kind"], string> = {
  bool: "",
  duration: "duration",
  int: "int",
  int64: "int",
  uint64: "uint",
  string: "string",
  strings: "strings",
};

function defaultText({ kind, defaultValue: value }: Flag): string {
  if (value === "" || value === false || value === 0 || value === 0n) return "";
  if (kind === "string") return ` (default ${JSON.stringify(value)})`;
  if (kind === "strings") return ` (default [${(value as string[]).join(",")}])`;
  return ` (default ${kind === "duration" ? formatDuration(value as number) : value})`;
}
