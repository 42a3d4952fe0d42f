/** What members log: lines of the story, and counted by message, since that tells which paths were taken. */

import type { LogFields, Logger, LogLevel } from "../../../src/io/log.ts";
import type { Coverage } from "./coverage.ts";
import type { Story } from "./story.ts";

export function memberLog(name: string, story: Story, coverage: Coverage): Logger {
  const line = (level: LogLevel) => (message: string, fields?: LogFields) => {
    coverage.count(`log: ${message}${variantOf(fields)}`);
    story.tell(() => `${name}: ${level} ${message} ${fields === undefined ? "" : fieldsText(fields)}`);
  };
  const logger: Logger = {
    isEnabled: (level) => level !== "debug",
    debug() {},
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    named: () => logger,
  };
  return logger;
}

/** A checkpoint either appends to the file or writes it anew. */
function variantOf(fields: LogFields | undefined): string {
  if (fields?.rewritten === undefined) return "";
  return fields.rewritten ? " (rewritten)" : " (appended)";
}

function fieldsText(fields: LogFields): string {
  return JSON.stringify(fields, (_, value) => typeof value === "bigint" ? `${value}` : value);
}
