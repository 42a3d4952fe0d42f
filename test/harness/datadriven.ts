/**
 * Tests as text: blocks of a command line, `----`, and the output it must have, up to an empty line. Lines that begin
 * with # between blocks are comments. With KEELSON_REWRITE=1 in the environment the file is written anew with the output
 * as it is, to be reviewed as a difference.
 */

import { expect, test } from "bun:test";

export interface Command {
  readonly name: string;
  /** Words without `=`, in order. */
  readonly words: readonly string[];
  /** Words `name=value`. */
  readonly values: ReadonlyMap<string, string>;
}

interface Block {
  /** Comments and empty lines before it. */
  readonly preamble: string[];
  readonly line: string;
  readonly expected: string;
}

/** Runs each block of the file in order, as one test named after the file. */
export function runScript(file: URL, run: (command: Command) => Promise<string> | string): void {
  const name = file.pathname.slice(file.pathname.lastIndexOf("/") + 1);
  test(`every command has the output written in ${name}`, async () => {
    const { blocks, rest } = parse(await Bun.file(file).text());
    let rewritten = "";
    for (const { preamble, line, expected } of blocks) {
      const output = (await run(parseCommand(line))).trimEnd();
      for (const text of preamble) rewritten += `${text}\n`;
      rewritten += `${line}\n----\n${output === "" ? "" : `${output}\n`}\n`;
      if (process.env.KEELSON_REWRITE !== "1") expect(`${line}\n${output}`).toBe(`${line}\n${expected}`);
    }
    if (process.env.KEELSON_REWRITE === "1") await Bun.write(file, (rewritten + rest.join("\n")).trimEnd() + "\n");
  });
}

function parse(text: string): { blocks: Block[]; rest: string[] } {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  let preamble: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (lines[i] === "" || lines[i].startsWith("#")) {
      // The empty line behind the output belongs to the block.
      if (lines[i] !== "" || preamble.length > 0) preamble.push(lines[i]);
      continue;
    }
    const line = lines[i];
    if (lines[++i] !== "----") throw new Error(`${line}: the next line is not ----`);
    const output: string[] = [];
    while (i + 1 < lines.length && lines[i + 1] !== "") output.push(lines[++i]);
    blocks.push({ preamble, line, expected: output.join("\n") });
    preamble = [];
  }
  return { blocks, rest: preamble };
}

function parseCommand(line: string): Command {
  const [name, ...rest] = line.split(" ").filter((word) => word !== "");
  const words = rest.filter((word) => !word.includes("="));
  const pairs = rest.filter((word) => word.includes("="));
  const values = new Map(pairs.map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]));
  return { name, words, values };
}
