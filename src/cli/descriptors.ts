/** File descriptors: how many this process may have, and how many of them clients may take. */

import { readFileSync } from "node:fs";
import {
  DESCRIPTORS_RESERVED_FRACTION,
  DESCRIPTORS_RESERVED_MIN,
  PEER_CONNECTIONS_MAX,
  PEER_DESCRIPTORS_FRACTION,
} from "../base/limits.ts";
import { ConfigError } from "./config.ts";

/** Infinity where the system does not say (only Linux does). */
export function descriptorLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    return limit === null ? Infinity : Number(limit[1]);
  } catch {
    return Infinity;
  }
}

/** Connections that leave enough for the member's own files. Throws a ConfigError, in etcd's words, where none would. */
export function connectionsFor(limit: number): number {
  if (limit <= DESCRIPTORS_RESERVED_MIN) {
    throw new ConfigError(
      `file descriptor limit of etcd process is too low; please set higher (limit ${limit}, recommended-limit more than ` +
        `${DESCRIPTORS_RESERVED_MIN}: \`ulimit -n\`)`,
    );
  }
  return limit - Math.max(DESCRIPTORS_RESERVED_MIN, Math.floor(limit * DESCRIPTORS_RESERVED_FRACTION));
}

/** Connections that other members may have, out of those that clients do not get. */
export function peerConnectionsFor(limit: number): number {
  return Math.min(PEER_CONNECTIONS_MAX, Math.floor(limit * PEER_DESCRIPTORS_FRACTION));
}
