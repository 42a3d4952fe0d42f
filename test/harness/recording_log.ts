/** A log that keeps what is written to it. */
import type { LogFields, Logger, LogLevel } from "../../src/io/log.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export class RecordingLog implements Logger {
  readonly lines: LogLine[] = [];

  isEnabled(): boolean {
    return true;
  }

  debug(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "debug", message, fields });
  }

  info(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "info", message, fields });
  }

  warn(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "warn", message, fields });
  }

  error(message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "error", message, fields });
  }

  named(): Logger {
    return this;
  }

  /** The lines whose message contains `text`. */
  with(text: string): LogLine[] {
    return this.lines.filter((line) => line.message.includes(text));
  }
}
