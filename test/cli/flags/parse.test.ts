import { expect, test } from "bun:test";
import { parseArguments, Settings } from "../../../src/cli/flags/mod.ts";

function parse(...args: string[]) {
  const settings = new Settings();
  return { result: parseArguments(args, settings), settings };
}

test("one dash and two are the same, and a value follows after = or as the next argument", () => {
  for (const args of [["-name=a"], ["--name=a"], ["-name", "a"], ["--name", "a"]]) {
    const { result, settings } = parse(...args);
    expect(result).toEqual({ kind: "parsed", rest: [] });
    expect(settings.string("name")).toBe("a");
  }
});

test("a value may be empty, hold = and look like a flag", () => {
  expect(parse("--name=").settings.string("name")).toBe("");
  expect(parse("--initial-cluster=a=http://x:1").settings.string("initial-cluster")).toBe("a=http://x:1");
  expect(parse("--name", "--version").settings.string("name")).toBe("--version");
});

test("a boolean takes its value only after =", () => {
  expect(parse("--unsafe-no-fsync").settings.boolean("unsafe-no-fsync")).toBe(true);
  expect(parse("--pre-vote=f").settings.boolean("pre-vote")).toBe(false);
  expect(parse("--unsafe-no-fsync", "false").result).toEqual({ kind: "parsed", rest: ["false"] });
});

test("the last mention wins", () => {
  expect(parse("--name=a", "--name", "b").settings.string("name")).toBe("b");
});

test("flags end at the first argument that is none, or after two dashes", () => {
  expect(parse("--name=a", "put", "--name=b").result).toEqual({ kind: "parsed", rest: ["put", "--name=b"] });
  expect(parse("--", "--name=b").result).toEqual({ kind: "parsed", rest: ["--name=b"] });
  expect(parse("-").result).toEqual({ kind: "parsed", rest: ["-"] });
});

test("help is asked for in four ways", () => {
  for (const args of [["-h"], ["--h"], ["-help"], ["--help"]]) expect(parse(...args).result.kind).toBe("help");
});

test("what Go refuses is refused in its words", () => {
  const cases: [string[], string][] = [
    [["--foo"], "flag provided but not defined: -foo"],
    [["---x"], "bad flag syntax: ---x"],
    [["-=x"], "bad flag syntax: -=x"],
    [["--name"], "flag needs an argument: -name"],
    [["--heartbeat-interval=x"], 'invalid value "x" for flag -heartbeat-interval: parse error'],
    [["--heartbeat-interval=-1"], 'invalid value "-1" for flag -heartbeat-interval: parse error'],
    [
      ["--heartbeat-interval=99999999999999999999"],
      'invalid value "99999999999999999999" for flag -heartbeat-interval: value out of range',
    ],
    [["--pre-vote=maybe"], 'invalid boolean value "maybe" for -pre-vote: parse error'],
    [["--grpc-keepalive-interval=5"], 'invalid value "5" for flag -grpc-keepalive-interval: parse error'],
    [
      ["--max-concurrent-streams=4294967296"],
      'invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range',
    ],
    [["--initial-cluster-state=foo"], 'invalid value "foo" for flag -initial-cluster-state: invalid value'],
    [["--feature-gates=Foo=true"], 'invalid value "Foo=true" for flag -feature-gates: unrecognized feature gate: Foo'],
    [["--feature-gates=AllBeta"], 'invalid value "AllBeta" for flag -feature-gates: missing bool value for AllBeta'],
    [
      ["--listen-client-urls=foo"],
      'invalid value "foo" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: foo',
    ],
    [
      ["--listen-client-urls=http://a"],
      'invalid value "http://a" for flag -listen-client-urls: URL address does not have the form "host:port": http://a',
    ],
    [
      ["--listen-client-urls=http://127.0.0.1:1/x"],
      'invalid value "http://127.0.0.1:1/x" for flag -listen-client-urls: URL must not contain a path: http://127.0.0.1:1/x',
    ],
  ];
  for (const [args, message] of cases) expect(parse(...args).result).toEqual({ kind: "error", message });
});

test("integers are read in Go's bases, and beyond 2^53 they stay as large as a number can be", () => {
  const value = (text: string) => parse(`--snapshot-count=${text}`).settings.number("snapshot-count");
  expect([value("0x10"), value("0b101"), value("0o17"), value("017"), value("1_000"), value("0")])
    .toEqual([16, 5, 15, 15, 1000, 0]);
  expect(value("18446744073709551615")).toBe(Number.MAX_SAFE_INTEGER);
  expect(parse("--quota-backend-bytes=-5").settings.number("quota-backend-bytes")).toBe(-5);
  for (const text of ["1__0", "_1", "0x", "1e3", "", "08"]) {
    expect(parse(`--snapshot-count=${text}`).result.kind).toBe("error");
  }
});

test("lists of URLs are sets in order of their text; an empty one leaves the default", () => {
  const urls = (text: string) => parse(`--listen-client-urls=${text}`).settings.list("listen-client-urls");
  expect(urls("http://b:1, HTTP://a:1,http://b:1,unix://s/x")).toEqual(["http://a:1", "http://b:1", "unix://s/x"]);
  expect(urls("")).toEqual(["http://localhost:2379"]);
  expect(parse("--cors=*").settings.list("cors")).toEqual(["*"]);
  expect(parse("--cors=http://a:80").settings.list("cors")).toEqual(["http://a:80"]);
});
