/** The command line, read as Go's `flag` package reads it. */

import type { Settings } from "./settings.ts";
import { findFlag } from "./table.ts";

export type ParseResult =
  /** Every flag was read; `rest` is what follows the last one. */
  | { readonly kind: "parsed"; readonly rest: readonly string[] }
  /** `-h` or `--help` was given. */
  | { readonly kind: "help" }
  /** Go's text. */
  | { readonly kind: "error"; readonly message: string };

/**
 * Puts the flags in `args` into `settings`. `-name` and `--name` are the same; a value follows after "=" or as the next
 * argument, for booleans only after "="; the last mention wins; "--" or the first argument that is no flag ends them.
 */
export function parseArguments(args: readonly string[], settings: Settings): ParseResult {
  let index = 0;
  while (index < args.length) {
    const argument = args[index];
    if (argument.length < 2 || argument[0] !== "-") break;
    index++;
    if (argument === "--") break;

    const body = argument.slice(argument[1] === "-" ? 2 : 1);
    if (body === "" || body[0] === "-" || body[0] === "=") {
      return { kind: "error", message: `bad flag syntax: ${argument}` };
    }
    const equals = body.indexOf("=");
    const name = equals < 0 ? body : body.slice(0, equals);
    let text = equals < 0 ? undefined : body.slice(equals + 1);

    const flag = findFlag(name);
    if (flag === undefined) {
      if (name === "help" || name === "h") return { kind: "help" };
      return { kind: "error", message: `flag provided but not defined: -${name}` };
    }
    const isBoolean = flag.kind === "bool" || flag.kind === "ignored";
    if (text === undefined) {
      if (isBoolean) text = "true";
      else if (index < args.length) text = args[index++];
      else return { kind: "error", message: `flag needs an argument: -${name}` };
    }
    try {
      settings.set(flag, text, "flag");
    } catch (error) {
      const value = JSON.stringify(text);
      const what = isBoolean
        ? `invalid boolean value ${value} for -${name}`
        : `invalid value ${value} for flag -${name}`;
      return { kind: "error", message: `${what}: ${(error as Error).message}` };
    }
  }
  return { kind: "parsed", rest: args.slice(index) };
}
