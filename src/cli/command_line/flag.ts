/** Flags of the tools: what they are called, and their values as Go's pflag package reads them. */

import { parseDuration } from "../../base/duration.ts";

export type FlagKind = "bool" | "duration" | "int" | "int64" | "uint64" | "string" | "strings";

/** Integers are exact; durations are milliseconds. */
export type FlagValue = boolean | number | bigint | string | readonly string[];

export interface Flag {
  readonly name: string;
  /** One letter: "w" for -w. */
  readonly shorthand?: string;
  readonly kind: FlagKind;
  readonly defaultValue: FlagValue;
  readonly usage: string;
  /** Not shown in the usage of a command. */
  readonly isHidden?: boolean;
}

/** Go's text for a value that is none. */
export class FlagError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "FlagError";
  }
}

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Throws FlagError with the text of the Go function that refuses it. */
export function readFlagValue(kind: FlagKind, text: string): FlagValue {
  switch (kind) {
    case "string":
      return text;
    case "strings":
      return text === "" ? [] : text.split(",");
    case "bool":
      if (TRUE.has(text)) return true;
      if (FALSE.has(text)) return false;
      throw new FlagError(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
    case "duration": {
      const milliseconds = parseDuration(text);
      if (milliseconds === undefined) throw new FlagError(durationError(text));
      return milliseconds;
    }
    case "int":
    case "int64":
      return readInteger("ParseInt", text, -(1n << 63n), (1n << 63n) - 1n);
    case "uint64":
      return readInteger("ParseUint", text, 0n, (1n << 64n) - 1n);
  }
}

/** Go's strconv with base 0: decimal, or 0x, 0o, 0b or 0 in front. */
function readInteger(parser: "ParseInt" | "ParseUint", text: string, least: bigint, most: bigint): bigint {
  const fail = (reason: string): never => {
    throw new FlagError(`strconv.${parser}: parsing ${JSON.stringify(text)}: ${reason}`);
  };
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]+|0|[1-9][0-9]*)$/.exec(text);
  if (match === null || (match[1] !== "" && parser === "ParseUint")) return fail("invalid syntax");
  const digits = /^0[0-7]+$/.test(match[2]) ? `0o${match[2].slice(1)}` : match[2];
  const value = match[1] === "-" ? -BigInt(digits) : BigInt(digits);
  return value < least || value > most ? fail("value out of range") : value;
}

/** Go names the unit where that is what is wrong. */
function durationError(text: string): string {
  const quoted = JSON.stringify(text);
  const rest = text.replace(/^[+-]/, "").replace(/^((\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h))*/, "");
  const unit = /^(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
  if (unit === null) return `time: invalid duration ${quoted}`;
  return unit[1] === ""
    ? `time: missing unit in duration ${quoted}`
    : `time: unknown unit ${JSON.stringify(unit[1])} in duration ${quoted}`;
}
