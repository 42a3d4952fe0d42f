/**
 * `npm run build`: the executable, dist/keelson.
 *
 * By default a compiled program loads `.env` and `bunfig.toml` from its working directory, and a preload named there runs
 * code: a server must not do that, so both are switched off.
 */

import { stat } from "node:fs/promises";

const OUTPUT = "dist/keelson";

const command = [
  process.execPath,
  "build",
  "src/main.ts",
  "--compile",
  "--minify",
  // Parsed and compiled here, not at each start and at each function's first call.
  "--bytecode",
  "--format=esm",
  "--sourcemap",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  `--outfile=${OUTPUT}`,
];
const commit = await readCommit();
if (commit !== undefined) command.push(`--define=KEELSON_GIT_SHA=${JSON.stringify(commit)}`);

const code = await Bun.spawn(command, { stdout: "ignore", stderr: "inherit" }).exited;
if (code !== 0) {
  console.error(`the build failed: ${command.join(" ")}`);
  process.exit(code);
}
const { size } = await stat(OUTPUT);
console.log(`${OUTPUT}: ${(size / 1e6).toFixed(1)} MB, commit ${commit ?? "not recorded"}`);

/** The commit the sources are at, in git's short form; undefined where they are in no repository. */
async function readCommit(): Promise<string | undefined> {
  try {
    const git = Bun.spawn(["git", "rev-parse", "--short=9", "HEAD"], { stdout: "pipe", stderr: "ignore" });
    const text = (await new Response(git.stdout).text()).trim();
    return await git.exited === 0 ? text : undefined;
  } catch {
    // There is no git on this machine.
    return undefined;
  }
}
