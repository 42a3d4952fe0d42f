import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gunzipSync } from "node:zlib";
import { runTool } from "../tool.ts";
import recorded from "./recorded.json";
import { FILES, firstError, type Recorded } from "./recordings.ts";

const { snapshot, runs } = recorded as Recorded;
const bytes = new Uint8Array(gunzipSync(Buffer.from(snapshot, "base64")));
const before = process.cwd();
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "utl-"));
  for (const [name, make] of Object.entries(FILES)) writeFileSync(join(directory, name), make(bytes));
  process.chdir(directory);
});

afterAll(() => {
  process.chdir(before);
  rmSync(directory, { recursive: true });
});

for (const { args, code, out, error } of runs) {
  test(`etcdutl ${args.join(" ")}: answered as by etcd's`, async () => {
    const ours = await runTool(args);
    expect({ code: ours.code, out: ours.out, error: firstError(ours.error) }).toEqual({ code, out, error });
    // Whatever was refused has left nothing.
    const left = readdirSync(directory).filter((name) => !(name in FILES));
    expect(left).toEqual(code === 0 && args.includes("restore") ? ["default.etcd"] : []);
    rmSync(join(directory, "default.etcd"), { recursive: true, force: true });
  });
}
