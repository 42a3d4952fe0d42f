/** Runs a tool inside the test's process, with what it prints in hand. */

import type { Console } from "../../src/cli/command_line/mod.ts";
import { execute } from "../../src/cli/command_line/mod.ts";
import { findTool } from "../../src/cli/tools.ts";
import type { LogFields, LogLevel } from "../../src/io/log.ts";

export interface ToolRun {
  readonly code: number;
  readonly out: string;
  readonly error: string;
  readonly logged: readonly LoggedLine[];
}

export interface LoggedLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

export interface ToolOptions {
  readonly program?: "etcdctl" | "etcdutl" | "keelson";
  readonly environment?: Record<string, string>;
  readonly isTerminal?: boolean;
  /** Asks the tool to end after so many milliseconds, as SIGINT does. */
  readonly interruptAfterMs?: number;
}

export async function runTool(args: readonly string[], options: ToolOptions = {}): Promise<ToolRun> {
  const { program = "etcdutl", environment = {}, isTerminal = false } = options;
  const root = findTool(program, args);
  if (root === undefined) throw new Error(`${program} ${args[0]} is no tool`);
  let out = "", error = "";
  const logged: LoggedLine[] = [];
  const add = (level: LogLevel) => (message: string, fields?: LogFields) =>
    void logged.push({ level, message, fields });
  const log = {
    isEnabled: () => true,
    debug: add("debug"),
    info: add("info"),
    warn: add("warn"),
    error: add("error"),
    fatal: add("fatal"),
    named: () => log,
  };
  const console: Console = {
    out: (text) => void (out += text),
    error: (text) => void (error += text),
    isTerminal,
    environment,
    log,
    onInterrupt: (listener) => {
      const { interruptAfterMs } = options;
      const timer = interruptAfterMs === undefined ? undefined : setTimeout(() => listener(130), interruptAfterMs);
      return () => clearTimeout(timer);
    },
  };
  const code = await execute(root, args, console);
  return { code, out, error, logged };
}
