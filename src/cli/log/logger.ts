import { isatty } from "node:tty";
import type { LogFields, Logger, LogLevel } from "../../io/log.ts";
import { formatConsole, formatJson, type LogFormat, type LogRecord, terminalFormat } from "./format.ts";
import { Output } from "./output.ts";
import { Sampler } from "./sampler.ts";

export interface LogOptions {
  /** Least level that is written. */
  readonly level: LogLevel;
  /** "auto" is the readable form on a terminal and JSON elsewhere. */
  readonly format: "auto" | "json" | "console";
  /** etcd's names ("default", "stderr", "stdout") or paths; "/dev/null" among them discards everything. */
  readonly outputs: readonly string[];
  /** False keeps a terminal's lines without colours. Default: true. */
  readonly isColoured?: boolean;
}

/** The log of the process: as `Logger`, with what only the command needs. */
export interface ProcessLogger extends Logger {
  /** Says why the process ends; ending it is the caller's part. */
  fatal(message: string, fields?: LogFields): void;
  close(): void;
}

const RANKS: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3, fatal: 4 };

/** Opens the outputs. Throws an Error that names the one that cannot be opened. */
export function openLog(options: LogOptions): ProcessLogger {
  const isDiscarded = options.outputs.includes("/dev/null");
  const targets = isDiscarded ? [] : [...new Set(options.outputs.map((name) => name === "default" ? "stderr" : name))];
  const channels = targets.sort().map((target) => {
    const output = Output.open(target);
    return { output, format: chooseFormat(options, isatty(output.descriptor)) };
  });
  return new ChannelLogger(
    { rank: RANKS[options.level], sampler: new Sampler(), clock: new WallClock(), channels },
    "",
  );
}

function chooseFormat(options: LogOptions, isTerminal: boolean): LogFormat {
  if (options.format === "json" || (options.format === "auto" && !isTerminal)) return formatJson;
  return isTerminal ? terminalFormat(options.isColoured ?? true) : formatConsole;
}

interface Channel {
  readonly output: Output;
  readonly format: LogFormat;
}

/** What a logger and those named after it share. */
interface LogCore {
  readonly rank: number;
  readonly sampler: Sampler;
  readonly clock: WallClock;
  readonly channels: readonly Channel[];
}

class ChannelLogger implements ProcessLogger {
  readonly #core: LogCore;
  readonly #name: string;

  constructor(core: LogCore, name: string) {
    this.#core = core;
    this.#name = name;
  }

  isEnabled(level: LogLevel): boolean {
    return RANKS[level] >= this.#core.rank && this.#core.channels.length > 0;
  }

  debug(message: string, fields?: LogFields): void {
    this.#write("debug", message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write("info", message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write("warn", message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write("error", message, fields);
  }

  fatal(message: string, fields?: LogFields): void {
    this.#write("fatal", message, fields);
  }

  named(name: string): Logger {
    return new ChannelLogger(this.#core, this.#name === "" ? name : `${this.#name}.${name}`);
  }

  close(): void {
    for (const { output } of this.#core.channels) output.close();
  }

  #write(level: LogLevel, message: string, fields: LogFields | undefined): void {
    if (!this.isEnabled(level)) return;
    const { sampler, clock, channels } = this.#core;
    if (!sampler.admits(level, message, performance.now())) return;
    const record: LogRecord = {
      level,
      wallMs: clock.nowMs(),
      logger: this.#name,
      caller: callerOf(new Error().stack),
      message,
      fields,
    };
    for (const { output, format } of channels) {
      output.write(`${format(record)}\n`, (count) => `${format(droppedRecord(record, count))}\n`);
    }
  }
}

function droppedRecord(next: LogRecord, count: number): LogRecord {
  return { ...next, level: "warn", message: "log lines were dropped: the output took no more", fields: { count } };
}

/** Frames of the stack above the caller's: the error's own line, `#write`, and the method for the level. */
const FRAMES_BEFORE_CALLER = 3;

/** "cli/serve.ts:42" of "    at serve (file:///somewhere/src/cli/serve.ts:42:7)". Empty if there is no such frame. */
export function callerOf(stack: string | undefined): string {
  const frame = stack?.split("\n", FRAMES_BEFORE_CALLER + 1)[FRAMES_BEFORE_CALLER] ?? "";
  const match = /((?:[^/\s()]+\/)?[^/\s()]+:\d+):\d+\)?$/.exec(frame);
  return match === null ? "" : match[1];
}

/** Wall-clock time with the fraction of a millisecond that Date does not give. */
class WallClock {
  #offsetMs = Date.now() - performance.now();

  nowMs(): number {
    const now = performance.now() + this.#offsetMs;
    const wall = Date.now();
    // The wall clock was set, or the two have drifted apart.
    if (now < wall - 1 || now > wall + 2) {
      this.#offsetMs += wall - now;
      return wall;
    }
    return now;
  }
}
