/** One line of the log, in three forms: JSON, etcd's console form, and a form for people at a terminal. */

import type { LogFields, LogLevel } from "../../io/log.ts";
import { encodeFields, encodeValue } from "./encode.ts";

export interface LogRecord {
  readonly level: LogLevel;
  /** Milliseconds since the Unix epoch, with a fraction. */
  readonly wallMs: number;
  /** Name of the part that speaks ("raft"); empty for the server itself. */
  readonly logger: string;
  /** "cli/serve.ts:42"; empty if unknown. */
  readonly caller: string;
  readonly message: string;
  readonly fields: LogFields | undefined;
}

/** Without the line's end. */
export type LogFormat = (record: LogRecord) => string;

/** The keys and their order are frozen: tools read them. */
export const formatJson: LogFormat = (record) => {
  const head: [string, unknown][] = [["level", record.level], ["ts", timestamp(record.wallMs)]];
  if (record.logger !== "") head.push(["logger", record.logger]);
  if (record.caller !== "") head.push(["caller", record.caller]);
  head.push(["msg", record.message]);
  return encodeFields([...head, ...Object.entries(record.fields ?? {})]);
};

/** Columns separated by tabs, the fields as one JSON object at the end. */
export const formatConsole: LogFormat = (record) => {
  const columns = [timestamp(record.wallMs), record.level, record.logger, record.caller, record.message];
  const fields = Object.entries(record.fields ?? {});
  if (fields.length > 0) columns.push(encodeFields(fields, true));
  return columns.filter((column) => column !== "").join("\t");
};

const MESSAGE_WIDTH = 44;

const LEVEL_COLOURS: Record<LogLevel, string> = {
  debug: "\x1b[90m",
  info: "\x1b[36m",
  warn: "\x1b[33m",
  error: "\x1b[31m",
  fatal: "\x1b[1;31m",
};
const DIM = "\x1b[2m";
const RESET = "\x1b[0m";

/** Time of day, level, message and fields as name=value, aligned. */
export function terminalFormat(isColoured: boolean): LogFormat {
  const colour = (code: string, text: string) => isColoured ? code + text + RESET : text;
  return (record) => {
    const time = timestamp(record.wallMs).slice(11, 23);
    const level = colour(LEVEL_COLOURS[record.level], record.level.toUpperCase().padEnd(5));
    const message = record.logger === "" ? record.message : `${record.logger}: ${record.message}`;
    const fields = Object.entries(record.fields ?? {}).filter(([, value]) => value !== undefined);
    const shown = withoutControls(message);
    let line = `${colour(DIM, time)} ${level} ${fields.length === 0 ? shown : shown.padEnd(MESSAGE_WIDTH)}`;
    for (const [name, value] of fields) {
      line += ` ${colour(DIM, `${withoutControls(name)}=`)}${withoutControls(plainValue(value))}`;
    }
    return line;
  };
}

function plainValue(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return value;
  return encodeValue(value);
}

/** What comes from outside must not move the cursor or change colours. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

/** "2026-11-22T18:34:57.675978Z", or with "+0100" in the place of "Z": local time, as etcd writes it. */
export function timestamp(wallMs: number): string {
  const date = new Date(wallMs);
  const offsetMinutes = -date.getTimezoneOffset();
  const local = new Date(date.getTime() + offsetMinutes * 60_000).toISOString();
  const microseconds = Math.floor((wallMs - Math.floor(wallMs)) * 1000);
  return local.slice(0, -1) + String(microseconds).padStart(3, "0") + zone(offsetMinutes);
}

function zone(offsetMinutes: number): string {
  if (offsetMinutes === 0) return "Z";
  const minutes = Math.abs(offsetMinutes);
  const text = String(Math.floor(minutes / 60)).padStart(2, "0") + String(minutes % 60).padStart(2, "0");
  return (offsetMinutes < 0 ? "-" : "+") + text;
}
