import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { asksForDefault, FLAGS, helpText, Settings } from "../../../src/cli/flags/mod.ts";

const etcdFlags = readFileSync(new URL("flags.txt", import.meta.url), "utf8")
  .split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("the table holds every flag of etcd with its kind and default, and no other without saying so", () => {
  const ours = FLAGS.filter((flag) => flag.kind !== "ignored" && flag.isOwn !== true)
    .map((flag) => `${flag.name} ${flag.kind} ${flag.defaultText}`.trimEnd());
  expect(ours.sort()).toEqual(etcdFlags.sort());
});

test("the flags that etcd ignores are known", () => {
  const ignored = FLAGS.filter((flag) => flag.kind === "ignored").map((flag) => flag.name);
  expect(ignored).toContain("v");
  expect(ignored).toContain("test.coverprofile");
  expect(ignored).toHaveLength(15);
});

test("the default, written out, asks for nothing", () => {
  for (const flag of FLAGS) {
    if (flag.kind === "ignored" || flag.defaultText === "") continue;
    const settings = new Settings();
    settings.set(flag, flag.defaultText, "flag");
    expect(asksForDefault(settings.all()[0])).toBe(true);
  }
});

test("another spelling of the default asks for nothing either", () => {
  const settings = new Settings();
  const flagNamed = (name: string) => FLAGS.find((flag) => flag.name === name)!;
  settings.set(flagNamed("pre-vote"), "T", "flag");
  settings.set(flagNamed("compact-hash-check-time"), "60s", "flag");
  settings.set(flagNamed("snapshot-count"), "0x2710", "flag");
  settings.set(flagNamed("feature-gates"), "AllAlpha=false,FastLeaseKeepAlive=true", "flag");
  expect(settings.all().map(asksForDefault)).toEqual([true, true, true, true]);
});

test("a gate switched by its group does not ask for the default", () => {
  const settings = new Settings();
  settings.set(FLAGS.find((flag) => flag.name === "feature-gates")!, "AllAlpha=true", "flag");
  expect(asksForDefault(settings.all()[0])).toBe(false);
});

test("help names every flag once, under its group, and fits a wide terminal", () => {
  const text = helpText("");
  for (const flag of FLAGS) {
    const mentions = text.split("\n").filter((line) => new RegExp(`^  [ *] --${flag.name} `).test(line));
    expect(mentions).toHaveLength(flag.kind === "ignored" ? 0 : 1);
  }
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(140);
});
