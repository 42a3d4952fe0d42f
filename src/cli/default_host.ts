/** The address of this machine on the interface of its default route, which is where others can reach it. */

import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";

/** An IPv4 address; undefined where there is no default route or no routing table to read. */
export async function findDefaultHost(): Promise<string | undefined> {
  let table: string;
  try {
    table = await readFile("/proc/net/route", "utf8");
  } catch {
    return undefined;
  }
  const interfaceName = defaultRouteInterface(table);
  if (interfaceName === undefined) return undefined;
  return networkInterfaces()[interfaceName]?.find((address) => address.family === "IPv4")?.address;
}

/** Columns of the kernel's table: interface, destination, gateway, flags, counters, metric, mask, ... in hexadecimal. */
export function defaultRouteInterface(table: string): string | undefined {
  let best: { name: string; metric: number } | undefined;
  for (const line of table.split("\n").slice(1)) {
    const [name, destination, , , , , metricText, mask] = line.trim().split(/\s+/);
    if (destination !== "00000000" || mask !== "00000000") continue;
    const metric = Number(metricText);
    if (best === undefined || metric < best.metric) best = { name, metric };
  }
  return best?.name;
}
