/**
 * Settings from a configuration file, YAML or JSON. Its keys are the flags' names, and a few groups of them; durations
 * are integers of nanoseconds, lists of URLs are comma-separated texts.
 */

import { parse as parseYaml } from "yaml";
import type { Note } from "./note.ts";
import type { Settings } from "./settings.ts";
import { findFlag, type Flag } from "./table.ts";

/** Keys of the groups, by the flags they stand for. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "client-transport-security": {
    "cert-file": "cert-file",
    "key-file": "key-file",
    "client-cert-file": "client-cert-file",
    "client-key-file": "client-key-file",
    "client-cert-auth": "client-cert-auth",
    "trusted-ca-file": "trusted-ca-file",
    "auto-tls": "auto-tls",
    "allowed-hostname": "client-cert-allowed-hostname",
  },
  "peer-transport-security": {
    "cert-file": "peer-cert-file",
    "key-file": "peer-key-file",
    "client-cert-file": "peer-client-cert-file",
    "client-key-file": "peer-client-key-file",
    "client-cert-auth": "peer-client-cert-auth",
    "trusted-ca-file": "peer-trusted-ca-file",
    "auto-tls": "peer-auto-tls",
    "allowed-cn": "peer-cert-allowed-cn",
    "allowed-hostname": "peer-cert-allowed-hostname",
    "skip-client-san-verification": "peer-skip-client-san-verification",
  },
  "discovery-config": {
    "token": "discovery-token",
    "endpoints": "discovery-endpoints",
    "dial-timeout": "discovery-dial-timeout",
    "request-timeout": "discovery-request-timeout",
    "keepalive-time": "discovery-keepalive-time",
    "keepalive-timeout": "discovery-keepalive-timeout",
  },
  "socket-options": {
    "reuse-port": "socket-reuse-port",
    "reuse-address": "socket-reuse-address",
  },
};

/** Flags that are no settings of a member. */
const NOT_IN_FILES = new Set(["config-file", "version"]);

/** Puts the file's values into `settings`. Throws an Error that says which key is wrong and what it should be. */
export function readFileSettings(text: string, settings: Settings): Note[] {
  const document: unknown = parseYaml(text);
  if (document === null) return [];
  const notes: Note[] = [];
  for (const [key, value] of entriesOf(document, "the file")) {
    if (value === null) continue;
    const group = Object.hasOwn(GROUPS, key) ? GROUPS[key] : undefined;
    if (group === undefined) {
      readKey(key, key, value, settings, notes);
      continue;
    }
    for (const [member, memberValue] of entriesOf(value, key)) {
      if (memberValue === null) continue;
      const flagName = Object.hasOwn(group, member) ? group[member] : "";
      readKey(`${key}.${member}`, flagName, memberValue, settings, notes);
    }
  }
  return notes;
}

function entriesOf(value: unknown, what: string): [string, unknown][] {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${what} must be a mapping of keys to values`);
  }
  return Object.entries(value);
}

function readKey(key: string, flagName: string, value: unknown, settings: Settings, notes: Note[]): void {
  const flag = findFlag(flagName);
  if (flag === undefined || flag.kind === "ignored" || NOT_IN_FILES.has(flagName)) {
    notes.push({ level: "warn", message: "unrecognized key in the configuration file", fields: { key } });
    return;
  }
  const text = textOf(flag, key, value);
  if (text === "" && (flag.kind === "urls" || flag.kind === "set" || flag.kind === "origins")) return;
  if (flag.kind === "duration") {
    settings.setValue(flag, Number(text) / 1e6, text, "file");
    return;
  }
  try {
    settings.set(flag, text, "file");
  } catch (error) {
    throw new Error(`${key}: invalid value ${JSON.stringify(text)}: ${(error as Error).message}`);
  }
}

/** The value as a flag would have it, except that a duration is a number of nanoseconds. */
function textOf(flag: Flag, key: string, value: unknown): string {
  switch (flag.kind) {
    case "duration":
      if (Number.isSafeInteger(value)) return String(value);
      throw new Error(
        `${key} must be an integer of nanoseconds in a file (600000000000 for 10m), not ${JSON.stringify(value)}`,
      );
    case "bool":
      if (typeof value === "boolean") return String(value);
      throw new Error(`${key} must be true or false, not ${JSON.stringify(value)}`);
    case "uint":
    case "uint32":
    case "int":
      if (Number.isSafeInteger(value)) return String(value);
      throw new Error(`${key} must be an integer, not ${JSON.stringify(value)}`);
    case "set":
    case "list":
      if (Array.isArray(value) && value.every((element) => typeof element === "string")) return value.join(",");
  }
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return String(value);
  throw new Error(`${key} must be a text, not ${JSON.stringify(value)}`);
}
