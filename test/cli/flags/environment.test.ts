import { expect, test } from "bun:test";
import { findFlag, readEnvironment, Settings } from "../../../src/cli/flags/mod.ts";

test("a variable sets what no flag has set", () => {
  const settings = new Settings();
  const notes = readEnvironment({ ETCD_DATA_DIR: "/d", PATH: "/bin" }, settings);
  expect(settings.string("data-dir")).toBe("/d");
  expect(notes).toEqual([{
    level: "info",
    message: "recognized and used environment variable",
    fields: { "variable-name": "ETCD_DATA_DIR", "variable-value": "/d" },
  }]);
});

test("an empty variable counts as unset", () => {
  const settings = new Settings();
  readEnvironment({ ETCD_NAME: "" }, settings);
  expect(settings.isSet("name")).toBe(false);
});

test("a variable and a flag for the same setting do not go together", () => {
  const settings = new Settings();
  settings.set(findFlag("name")!, "a", "flag");
  expect(() => readEnvironment({ ETCD_NAME: "b" }, settings)).toThrow(
    "conflicting environment variable is shadowed by corresponding command-line flag",
  );
});

test("an unknown variable is named, without its value, which may be a password", () => {
  const notes = readEnvironment({ ETCD_NAMED: "secret" }, new Settings());
  expect(notes.map((note) => note.message)).toEqual(["unrecognized environment variable"]);
  expect(JSON.stringify(notes)).not.toContain("secret");
});

test("a value that cannot be read is refused in etcd's words", () => {
  expect(() => readEnvironment({ ETCD_HEARTBEAT_INTERVAL: "x" }, new Settings()))
    .toThrow('invalid value "x" for ETCD_HEARTBEAT_INTERVAL: parse error');
});
