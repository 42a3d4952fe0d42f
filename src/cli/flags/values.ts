/**
 * Values of flags as Go's `flag` and `strconv` packages read them. Each reader returns the value or throws a
 * `ValueError` with Go's text.
 */

import { parseDuration } from "../../base/duration.ts";
import { parseUrls } from "../../membership/mod.ts";

/** Why a value was refused, as Go words it: "parse error", "value out of range", ... */
export class ValueError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ValueError";
  }
}

const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);

/** Go's strconv.ParseBool. */
export function readBool(text: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new ValueError("parse error");
}

const DIGITS: [pattern: RegExp, bigintPrefix: string][] = [
  [/^0[xX](_?[0-9a-fA-F])+$/, "0x"],
  [/^0[bB](_?[01])+$/, "0b"],
  [/^0[oO](_?[0-7])+$/, "0o"],
  [/^0(_?[0-7])+$/, "0o"],
  [/^(0|[1-9](_?[0-9])*)$/, ""],
];

/** Go's strconv.ParseUint with base 0: decimal, 0x, 0b, 0o or a leading 0, with underscores between digits. */
function readMagnitude(text: string): bigint {
  for (const [pattern, prefix] of DIGITS) {
    if (!pattern.test(text)) continue;
    const digits = text.replaceAll("_", "");
    return BigInt(prefix === "" ? digits : prefix + digits.replace(/^0[xXbBoO]?/, ""));
  }
  throw new ValueError("parse error");
}

/**
 * An unsigned integer of `bits` bits. What a double cannot hold exactly becomes 2^53 - 1: such a value is only ever
 * compared, and nothing here counts that far.
 */
export function readUnsigned(text: string, bits: number): number {
  const value = readMagnitude(text);
  if (value >= 1n << BigInt(bits)) throw new ValueError("value out of range");
  return clamp(value);
}

/** A signed integer of 64 bits, clamped as `readUnsigned` clamps. */
export function readSigned(text: string): number {
  const negative = text.startsWith("-");
  const magnitude = readMagnitude(negative || text.startsWith("+") ? text.slice(1) : text);
  const limit = 1n << 63n;
  if (negative ? magnitude > limit : magnitude >= limit) throw new ValueError("value out of range");
  return negative ? -clamp(magnitude) : clamp(magnitude);
}

function clamp(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
}

/** Milliseconds. */
export function readDuration(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined) throw new ValueError("parse error");
  return milliseconds;
}

/** Comma-separated, without repetitions, sorted: etcd keeps such lists as sets. */
export function readStringSet(text: string): string[] {
  return [...new Set(text.split(","))].sort();
}

/** Comma-separated URLs in the form etcd writes them, without repetitions, sorted. */
export function readUrls(text: string): string[] {
  return [...new Set(parseUrls(text.split(",")).map((url) => url.text))];
}

/** The gates of etcd 3.7.1 with their defaults. */
export const FEATURE_GATES: Readonly<Record<string, boolean>> = {
  AllAlpha: false,
  AllBeta: false,
  CompactHashCheck: false,
  FastLeaseKeepAlive: true,
  InitialCorruptCheck: false,
  LeaseCheckpoint: false,
  LeaseCheckpointPersist: false,
  PriorityRequest: false,
  SetMemberLocalAddr: false,
  StopGRPCServiceOnDefrag: false,
  TxnModeWriteWithSharedBuffer: true,
};

/** "A=true,B=false" as the gates named, the last mention of one deciding. */
export function readFeatureGates(text: string): Map<string, boolean> {
  const gates = new Map<string, boolean>();
  for (const part of text.split(",")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = (equals < 0 ? part : part.slice(0, equals)).trim();
    if (equals < 0) throw new ValueError(`missing bool value for ${name}`);
    const value = part.slice(equals + 1).trim();
    if (!TRUE.has(value) && !FALSE.has(value)) {
      throw new ValueError(
        `invalid value of ${name}=${value}, err: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
      );
    }
    gates.set(name, TRUE.has(value));
  }
  for (const name of gates.keys()) {
    if (!Object.hasOwn(FEATURE_GATES, name)) throw new ValueError(`unrecognized feature gate: ${name}`);
  }
  return gates;
}

/** What the gates come to once those that set whole groups of others have done so. */
export function effectiveGates(named: ReadonlyMap<string, boolean>): Map<string, boolean> {
  const effective = new Map(Object.entries(FEATURE_GATES));
  for (const name of effective.keys()) {
    const all = BETA_GATES.has(name) ? named.get("AllBeta") : named.get("AllAlpha");
    const value = named.get(name) ?? all;
    if (value !== undefined) effective.set(name, value);
  }
  return effective;
}

const BETA_GATES = new Set(["AllBeta", "FastLeaseKeepAlive", "TxnModeWriteWithSharedBuffer"]);
