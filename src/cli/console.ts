/** The process as the tools see it: standard output and error, the environment, a log in etcd's form. */

import { constants } from "node:os";
import process from "node:process";
import { isatty } from "node:tty";
import { writeSync } from "node:fs";
import type { Console } from "./command_line/mod.ts";
import { openLog, type ProcessLogger } from "./log/mod.ts";

/** Written at once: the process may end right after. */
export function print(descriptor: 1 | 2, text: string): void {
  try {
    writeSync(descriptor, text);
  } catch (error) {
    // Whoever reads has gone (`keelson --help | head`): nothing is left to say, and to whom.
    if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
  }
}

/** `logFormat`: of etcdctl's lines ("json") or etcdutl's ("console"). */
export function processConsole(
  environment: Readonly<Record<string, string | undefined>>,
  logFormat: "json" | "console" | "auto",
): Console {
  let log: ProcessLogger | undefined;
  return {
    out: (text) => print(1, text),
    error: (text) => print(2, text),
    isTerminal: isatty(2),
    environment,
    get log() {
      const isColoured = environment.NO_COLOR === undefined;
      return log ??= openLog({ level: "info", format: logFormat, outputs: ["stderr"], isColoured });
    },
    onInterrupt: (listener) => {
      const onSignal = (signal: "SIGINT" | "SIGTERM") => listener(128 + constants.signals[signal]);
      process.on("SIGINT", onSignal);
      process.on("SIGTERM", onSignal);
      return () => {
        process.off("SIGINT", onSignal);
        process.off("SIGTERM", onSignal);
      };
    },
  };
}
