import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOG_SAMPLE_MESSAGES_MAX } from "../../../src/base/limits.ts";
import { openLog } from "../../../src/cli/log/mod.ts";
import { Sampler } from "../../../src/cli/log/sampler.ts";

const directory = mkdtempSync(join(tmpdir(), "keelson-log-"));
afterAll(() => rmSync(directory, { recursive: true }));

function linesOf(path: string): Record<string, unknown>[] {
  return readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line));
}

test("lines from the level on are appended to the file, with their caller", () => {
  const path = join(directory, "a.log");
  writeFileSync(path, '{"msg":"older"}\n');
  const log = openLog({ level: "info", format: "auto", outputs: [path] });
  log.debug("too small");
  log.info("first", { n: 1n });
  log.named("raft").named("log").warn("second");
  log.fatal("third");
  log.close();
  const lines = linesOf(path);
  expect(lines.map((line) => line.msg)).toEqual(["older", "first", "second", "third"]);
  expect(lines.map((line) => line.logger)).toEqual([undefined, undefined, "raft.log", undefined]);
  expect(lines[1].caller).toMatch(/^log\/logger\.test\.ts:\d+$/);
  expect(lines.map((line) => line.level)).toEqual([undefined, "info", "warn", "fatal"]);
  expect(log.isEnabled("debug")).toBe(false);
  expect(log.isEnabled("info")).toBe(true);
});

test("several outputs get every line once, and /dev/null among them discards all", () => {
  const [a, b] = [join(directory, "b1.log"), join(directory, "b2.log")];
  const log = openLog({ level: "info", format: "json", outputs: [a, b, a] });
  log.info("x");
  log.close();
  expect([linesOf(a).length, linesOf(b).length]).toEqual([1, 1]);
  expect(openLog({ level: "debug", format: "json", outputs: [a, "/dev/null"] }).isEnabled("fatal")).toBe(false);
});

test("an output that cannot be opened is named", () => {
  expect(() => openLog({ level: "info", format: "json", outputs: [join(directory, "no", "such.log")] }))
    .toThrow(/open sink .*such\.log/);
});

test("an output that takes no more costs lines and nothing else", () => {
  const log = openLog({ level: "info", format: "json", outputs: ["/dev/full"] });
  expect(() => log.info("lost")).not.toThrow();
  log.close();
});

test("of one message a second the first hundred lines are written, then each hundredth", () => {
  const sampler = new Sampler();
  let admitted = 0;
  for (let i = 0; i < 1000; i++) if (sampler.admits("info", "m", 5000 + i / 10)) admitted++;
  expect(admitted).toBe(100 + 9);
  expect(sampler.admits("warn", "m", 5100)).toBe(true);
  expect(sampler.admits("info", "other", 5100)).toBe(true);
  expect(sampler.admits("info", "m", 6001)).toBe(true);
});

test("messages that are all different are all written", () => {
  const sampler = new Sampler();
  for (let i = 0; i < LOG_SAMPLE_MESSAGES_MAX + 10; i++) expect(sampler.admits("info", `m${i}`, 0)).toBe(true);
});
