/**
 * The fixed list of seeds: lines of a seed, or of a first and a last one with a hyphen, and what they are there for. Seeds
 * that once found something stay in it.
 */

import { readFileSync } from "node:fs";

export const SEED_LIST = new URL("./seeds.txt", import.meta.url);

export function readSeedList(): number[] {
  return parseSeedList(readFileSync(SEED_LIST, "utf8"));
}

export function parseSeedList(text: string): number[] {
  const seeds = new Set<number>();
  for (const line of text.split("\n")) {
    const found = /^(\d+)(?:-(\d+))?(?:\s|$)/.exec(line);
    if (found === null) {
      if (line.trim() !== "" && !line.startsWith("#")) throw new Error(`not a seed: "${line}"`);
      continue;
    }
    const first = Number(found[1]);
    const last = Number(found[2] ?? found[1]);
    for (let seed = first; seed <= last; seed++) seeds.add(seed);
  }
  return [...seeds];
}
