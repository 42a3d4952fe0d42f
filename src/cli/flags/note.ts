import type { LogFields } from "../../io/log.ts";

/** A line for the log, from before there is one: where it goes is itself a setting. */
export interface Note {
  readonly level: "info" | "warn";
  readonly message: string;
  readonly fields?: LogFields;
}
