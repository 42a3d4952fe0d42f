/** Records what etcdutl answers: `bun test/cli/utl/record.ts <etcdutl> <snapshot that etcd saved>`. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { COMMANDS, FILES, firstError, type Recorded, type Recording } from "./recordings.ts";

const [program, snapshotPath] = process.argv.slice(2);
const snapshot = new Uint8Array(readFileSync(snapshotPath));
const runs: Recording[] = COMMANDS.map((args) => {
  const directory = mkdtempSync(join(tmpdir(), "record-"));
  for (const [name, make] of Object.entries(FILES)) writeFileSync(join(directory, name), make(snapshot));
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: directory, encoding: "utf8" });
  rmSync(directory, { recursive: true });
  return { args, code: status ?? -1, out: stdout, error: firstError(stderr) };
});
const recorded: Recorded = { snapshot: gzipSync(snapshot).toString("base64"), runs };
writeFileSync(new URL("recorded.json", import.meta.url), `${JSON.stringify(recorded, null, 2)}\n`);
