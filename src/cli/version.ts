/** What `--version` prints. */

import { arch, platform } from "node:os";
import process from "node:process";
import { ETCD_VERSION, KEELSON_VERSION } from "../base/version.ts";

/** Set by `build.ts` in the executable; not there when the sources run as they are. */
declare const KEELSON_GIT_SHA: string | undefined;

/** The first line is etcd's, letter for letter: scripts read it. */
export function versionText(): string {
  const gitSha = typeof KEELSON_GIT_SHA === "string" ? KEELSON_GIT_SHA : "not recorded";
  return `etcd Version: ${ETCD_VERSION}\n` +
    `Git SHA: ${gitSha}\n` +
    `Keelson Version: ${KEELSON_VERSION}\n` +
    `Runtime: ${runtimeName()}\n` +
    `OS/Arch: ${platform()}/${goArchitecture(arch())}\n`;
}

export function runtimeName(): string {
  const { bun, deno } = process.versions as Record<string, string | undefined>;
  if (bun !== undefined) return `Bun ${bun}`;
  if (deno !== undefined) return `Deno ${deno}`;
  return `Node ${process.version}`;
}

/** Architectures go by Go's names wherever etcd shows them. */
export function goArchitecture(name: string): string {
  return name === "x64" ? "amd64" : name;
}
