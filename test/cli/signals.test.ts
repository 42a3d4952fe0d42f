import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const SIGNALS = fileURLToPath(new URL("../../src/cli/signals.ts", import.meta.url));

/** A process whose server stops when told to, after `stopMs`, or fails by itself at once. */
function program(stopMs: number, fails: boolean): string {
  return `
    import { runUntilEnd } from ${JSON.stringify(SIGNALS)};
    const say = (message) => process.stdout.write(message + "\\n");
    const server = {
      failure: ${fails ? 'Promise.resolve(new Error("no disk"))' : "new Promise(() => {})"},
      stop: () => new Promise((resolve) => setTimeout(() => { say("stopped"); resolve(); }, ${stopMs})),
    };
    const log = { info: (message, fields) => say(message + " " + fields.signal), fatal: (message) => say(message) };
    setInterval(() => {}, 1000);
    setTimeout(() => say("ready"), 0);
    process.exit(await runUntilEnd(server, log));
  `;
}

/** Sends `signals` one after the other, each when the process has said the next thing. */
function runAndSignal(source: string, signals: NodeJS.Signals[]) {
  return new Promise<{ code: number | null; signal: string | null; said: string[] }>((resolve) => {
    const child = spawn(process.execPath, ["-e", source], { stdio: ["ignore", "pipe", "inherit"] });
    const said: string[] = [];
    const left = [...signals];
    child.stdout.on("data", (data: Uint8Array) => {
      said.push(...String(data).trimEnd().split("\n"));
      const next = left.shift();
      if (next !== undefined) child.kill(next);
    });
    child.on("exit", (code, signal) => resolve({ code, signal, said }));
  });
}

test("SIGTERM and SIGINT stop the server, and the parent sees the signal", async () => {
  for (const [signal, name] of [["SIGTERM", "terminated"], ["SIGINT", "interrupt"]] as const) {
    const { said, ...end } = await runAndSignal(program(10, false), [signal]);
    expect(said).toEqual(["ready", `received signal; shutting down ${name}`, "stopped"]);
    expect(end).toEqual({ code: null, signal });
  }
});

test("a second signal ends a stop that takes long", async () => {
  const { said, ...end } = await runAndSignal(program(60_000, false), ["SIGTERM", "SIGTERM"]);
  expect(said).toEqual(["ready", "received signal; shutting down terminated"]);
  expect(end).toEqual({ code: null, signal: "SIGTERM" });
});

test("a server that cannot go on ends the process with 1", async () => {
  const { code, said } = await runAndSignal(program(10, true), []);
  expect(code).toBe(1);
  expect(said).toContain("the server cannot go on");
});
