/**
 * npm run sim -- --seed N [--story]              one seed, exactly as it was
 * npm run sim -- --seeds N [--seed-start S]      as many, from that one on
 * npm run sim -- --list [--seeds N ...]          the fixed list, and new ones besides
 * npm run sim -- --mutations [--only NAME]       show that seeded bugs are found
 * Also: --until-failure stops at the first seed that fails; --record adds seeds that failed to the fixed list.
 */

import { appendFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runMutations } from "./mutations/run.ts";
import { runAndWatch, runSeeds } from "./run.ts";
import { readSeedList, SEED_LIST } from "./seed_list.ts";

const { values } = parseArgs({
  options: {
    "seed": { type: "string" },
    "story": { type: "boolean" },
    "seeds": { type: "string" },
    "seed-start": { type: "string" },
    "list": { type: "boolean" },
    "until-failure": { type: "boolean" },
    "record": { type: "boolean" },
    "mutations": { type: "boolean" },
    "only": { type: "string" },
  },
});

function positive(text: string, option: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${option} ${text} is not a positive integer`);
  return number;
}

async function runOne(seed: number): Promise<boolean> {
  const { violations, story, coverage, simulatedMs } = await runAndWatch(seed, values.story ?? false);
  for (const line of story) console.log(line);
  if (!values.story) { for (const [name, count] of [...coverage.counts].sort()) console.log(`${count}  ${name}`); }
  for (const violation of violations) console.log(violation);
  const verdict = violations.length === 0 ? "clean" : `${violations.length} violations`;
  console.log(`seed ${seed}: ${verdict}, ${(simulatedMs / 1000).toFixed(1)} simulated seconds`);
  return violations.length === 0;
}

async function runMany(): Promise<boolean> {
  const start = values["seed-start"] === undefined ? 1 : positive(values["seed-start"], "seed-start");
  const count = values.seeds === undefined ? 0 : positive(values.seeds, "seeds");
  const seeds = values.list ? readSeedList() : [];
  for (let i = 0; i < count; i++) seeds.push(start + i);
  const stopsAtFailure = values["until-failure"] ?? false;
  const { failed, missing } = await runSeeds({ seeds, stopsAtFailure, print: (line) => console.log(line) });
  if (values.record) { for (const seed of failed) await record(seed); }
  return failed.length === 0 && missing.length === 0;
}

async function record(seed: number): Promise<void> {
  const { violations } = await runAndWatch(seed, false);
  appendFileSync(SEED_LIST, `${seed} ${violations[0].split("\n")[0]}\n`);
}

const isClean = values.mutations
  ? await runMutations(values.only)
  : values.seed !== undefined
  ? await runOne(positive(values.seed, "seed"))
  : await runMany();
process.exit(isClean ? 0 : 1);
