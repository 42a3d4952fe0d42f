/**
 * Shows that the simulation can fail: each seeded bug is put into a copy of the sources, which then lives through seeds
 * until one fails.
 */

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutation, MUTATIONS } from "./table.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Each must be found within so many. */
const SEEDS_MAX = 1000;

/** True if every seeded bug is found, or the one of that name. As many are looked for at once as there are processors. */
export async function runMutations(only: string | undefined): Promise<boolean> {
  const chosen = MUTATIONS.filter(({ name }) => only === undefined || name === only);
  if (chosen.length === 0) throw new Error(`there is no seeded bug "${only}"`);
  const waiting = chosen.values();
  let foundCount = 0;
  const work = async (): Promise<void> => {
    for (const mutation of waiting) if (await isFound(mutation)) foundCount++;
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  console.log(`${foundCount} of ${chosen.length} seeded bugs found`);
  return foundCount === chosen.length;
}

async function isFound(mutation: Mutation): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "simulation-"));
  try {
    copySources(directory);
    for (const { file, before, after } of mutation.replacements) {
      const path = join(directory, file);
      const text = readFileSync(path, "utf8");
      if (text.split(before).length !== 2) {
        console.log(`FAIL ${mutation.name}: what it replaces is not, or not once, in ${file}`);
        return false;
      }
      writeFileSync(path, text.replace(before, () => after));
    }
    return await liveThrough(mutation, directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function copySources(directory: string): void {
  for (const name of ["src", "test/simulation", "test/harness"]) {
    cpSync(join(ROOT, name), join(directory, name), { recursive: true });
  }
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(ROOT, name), join(directory, name));
  symlinkSync(join(ROOT, "node_modules"), join(directory, "node_modules"));
}

async function liveThrough({ name, firstSeed = 1 }: Mutation, directory: string): Promise<boolean> {
  const seeds = ["--seeds", `${SEEDS_MAX}`, "--seed-start", `${firstSeed}`, "--until-failure"];
  const program = [join(directory, "test/simulation/main.ts"), ...seeds];
  const { status, stdout, stderr } = await run(program, directory);
  const lines = stdout.trim().split("\n");
  const at = lines.findIndex((line) => / failed; /.test(line));
  if (status !== 1 || at < 0) {
    console.log(
      `FAIL ${name}: ${status === 0 ? `not found in ${SEEDS_MAX} seeds` : `could not run: ${stderr.trim()}`}`,
    );
    return false;
  }
  const seed = /^seed (\d+)/.exec(lines[at])?.[1];
  console.log(`ok   ${name}: found by seed ${seed} (the first is ${firstSeed}): ${lines[at + 1].trim().slice(0, 160)}`);
  return true;
}

function run(program: string[], cwd: string): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, program, { cwd, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    })
  );
}
