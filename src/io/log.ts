/** Structured logging, shaped as etcd's: a level, a message that tools match on, and fields. */

export type LogLevel = "debug" | "info" | "warn" | "error" | "fatal";

/** Values must survive JSON; bigint is written as a number, an Error as its text. */
export type LogFields = Record<string, unknown>;

export interface Logger {
  isEnabled(level: LogLevel): boolean;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same destination under a name ("raft"), shown in the `logger` field. */
  named(name: string): Logger;
}

/** Discards everything: for tests and for tools that print their own output. */
export const silentLogger: Logger = {
  isEnabled: () => false,
  debug() {},
  info() {},
  warn() {},
  error() {},
  named: () => silentLogger,
};
