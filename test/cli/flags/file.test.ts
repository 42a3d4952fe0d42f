import { expect, test } from "bun:test";
import { readFileSettings, Settings } from "../../../src/cli/flags/mod.ts";

function read(text: string) {
  const settings = new Settings();
  return { notes: readFileSettings(text, settings), settings };
}

test("YAML and JSON files hold settings under the flags' names", () => {
  const yaml = 'name: a\nheartbeat-interval: 200\nlog-outputs: [stderr, "x.log"]\nunsafe-no-fsync: true\n';
  const json = '{"name":"a","heartbeat-interval":200,"log-outputs":["stderr","x.log"],"unsafe-no-fsync":true}';
  for (const text of [yaml, json]) {
    const { settings, notes } = read(text);
    expect(settings.string("name")).toBe("a");
    expect(settings.number("heartbeat-interval")).toBe(200);
    expect(settings.list("log-outputs")).toEqual(["stderr", "x.log"]);
    expect(settings.boolean("unsafe-no-fsync")).toBe(true);
    expect(notes).toEqual([]);
  }
});

test("a duration is a number of nanoseconds, and a text is refused with an example", () => {
  expect(read("watch-progress-notify-interval: 5000000000").settings.number("watch-progress-notify-interval")).toBe(
    5000,
  );
  expect(() => read("watch-progress-notify-interval: 5s")).toThrow("600000000000 for 10m");
});

test("groups of keys stand for the flags they mean", () => {
  const { settings } = read(
    "client-transport-security:\n  cert-file: c.pem\npeer-transport-security:\n  auto-tls: true\n",
  );
  expect(settings.string("cert-file")).toBe("c.pem");
  expect(settings.boolean("peer-auto-tls")).toBe(true);
});

test("empty and null values leave the default", () => {
  const { settings } = read("listen-client-urls:\ncors: ''\nname: ~\n");
  expect(settings.all()).toEqual([]);
  expect(read("").settings.all()).toEqual([]);
});

test("a key nobody knows is named", () => {
  expect(read("nmae: a\nsocket-options:\n  reuse: true\n").notes.map((note) => note.fields)).toEqual([
    { key: "nmae" },
    { key: "socket-options.reuse" },
  ]);
});

test("a value of the wrong kind is refused with its key", () => {
  expect(() => read("heartbeat-interval: soon")).toThrow('heartbeat-interval must be an integer, not "soon"');
  expect(() => read("pre-vote: 3")).toThrow("pre-vote must be true or false, not 3");
  expect(() => read("listen-client-urls: foo")).toThrow("URL scheme must be http, https, unix, or unixs: foo");
  expect(() => read("socket-options: 3")).toThrow("socket-options must be a mapping");
  expect(() => read("- a\n- b\n")).toThrow("the file must be a mapping");
});
