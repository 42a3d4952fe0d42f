import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** Runs the command in a process of its own, called by the name `program`. */
function command(args: string[], options: { environment?: Record<string, string>; program?: string } = {}) {
  const result = spawnSync(process.execPath, [MAIN, ...args], {
    argv0: options.program,
    env: { PATH: process.env.PATH, ...options.environment },
    encoding: "utf8",
  });
  return { code: result.status, out: result.stdout, lines: result.stderr.split("\n").filter((line) => line !== "") };
}

test("the version begins with etcd's line", () => {
  const { code, out } = command(["--version"]);
  expect(code).toBe(0);
  expect(out.split("\n")[0]).toBe("etcd Version: 3.7.1");
  expect(out).toContain("\nKeelson Version: ");
});

test("help goes to standard output", () => {
  const { code, out, lines } = command(["-h"]);
  expect([code, lines]).toEqual([0, []]);
  expect(out).toContain("--listen-client-urls");
});

test("an unknown flag is one clear line and exit code 2", () => {
  const { code, lines } = command(["--foo"]);
  expect(code).toBe(2);
  expect(lines[0]).toBe("flag provided but not defined: -foo");
});

test("what cannot be started with is one JSON line and exit code 1", () => {
  for (const args of [["put"], ["--cert-file=c.pem"], ["--log-format=xml"], ["--config-file=no-such.yaml"]]) {
    const { code, lines } = command(args);
    expect([code, lines.length]).toEqual([1, 1]);
    expect(JSON.parse(lines[0]).msg).toBe("failed to verify flags");
  }
});

test("a flag and a variable for one setting end it", () => {
  const { code, lines } = command(["--name=a"], { environment: { ETCD_NAME: "b" } });
  expect(code).toBe(1);
  expect(JSON.parse(lines[0])).toMatchObject({ level: "fatal", "environment-variable": "ETCD_NAME" });
});

test("programs and commands that are not in here are refused by name", () => {
  expect(command(["get", "foo", "--prefix"], { program: "/usr/bin/etcdctl" })).toMatchObject({
    code: 1,
    lines: [expect.stringContaining("etcdctl get is not part of Keelson")],
  });
  expect(command(["grpc-proxy", "start"])).toMatchObject({ code: 1, lines: [expect.stringContaining("grpc-proxy")] });
});

test("the name it is called by decides which program it is", () => {
  expect(command(["version"], { program: "/usr/bin/etcdctl" }).out).toBe("etcdctl version: 3.7.1\nAPI version: 3.7\n");
  expect(command(["version"], { program: "etcdutl" }).out).toBe("etcdutl version: 3.7.1\nAPI version: 3.7\n");
  expect(command(["hashkv", "no-such-file"])).toMatchObject({
    code: 1,
    lines: ["Error: stat no-such-file: no such file or directory"],
  });
});
