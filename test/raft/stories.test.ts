/**
 * Stories of whole groups, in the language of etcd's own scripts (test/interop/raft): each file of stories/ is a test.
 * With KEELSON_REWRITE=1 in the environment the files are written anew with the output as it is, to be reviewed as a
 * difference.
 */
import { test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { interactionRunner } from "../interop/raft/interaction.ts";
import { parseScript, runScript } from "../interop/raft/script.ts";

const STORIES = fileURLToPath(new URL("stories/", import.meta.url));

for (const name of readdirSync(STORIES).sort()) {
  test(`a group does what is written in ${name}`, () => {
    if (process.env.KEELSON_REWRITE === "1") rewrite(`${STORIES}${name}`, name);
    runScript(`${STORIES}${name}`, interactionRunner());
  });
}

function rewrite(path: string, name: string): void {
  const lines = readFileSync(path, "utf8").split("\n");
  const run = interactionRunner();
  let text = "";
  let written = 0;
  for (const directive of parseScript(lines.join("\n"), name)) {
    for (; written < directive.expectedFrom; written++) text += `${lines[written]}\n`;
    text += `${run(directive).trimEnd()}\n`;
    written = directive.expectedTo;
  }
  writeFileSync(path, text + lines.slice(written).join("\n"));
}
