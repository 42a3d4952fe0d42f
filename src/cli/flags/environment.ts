/** Settings from `ETCD_...` variables: the flag's name in capitals, dashes as underscores. */

import type { Note } from "./note.ts";
import type { Settings } from "./settings.ts";
import { FLAGS } from "./table.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = "ETCD_";

export function variableName(flagName: string): string {
  return PREFIX + flagName.toUpperCase().replaceAll("-", "_");
}

/**
 * Puts the variables' values into `settings`, where no flag did. Empty variables count as unset. Throws an Error with
 * etcd's text if a value cannot be read, or if a variable and a flag are given for the same setting.
 */
export function readEnvironment(environment: Environment, settings: Settings): Note[] {
  const notes: Note[] = [];
  const fromFlags = new Set(settings.all().map((setting) => variableName(setting.flag.name)));
  const used = new Set<string>();
  let problem: Error | undefined;

  for (const flag of FLAGS) {
    const variable = variableName(flag.name);
    const text = environment[variable] ?? "";
    if (text === "" || fromFlags.has(variable)) continue;
    used.add(variable);
    try {
      settings.set(flag, text, "environment");
    } catch (error) {
      problem = new Error(`invalid value ${JSON.stringify(text)} for ${variable}: ${(error as Error).message}`);
      continue;
    }
    notes.push({
      level: "info",
      message: "recognized and used environment variable",
      fields: { "variable-name": variable, "variable-value": text },
    });
  }

  for (const name of Object.keys(environment)) {
    if (used.has(name)) continue;
    if (fromFlags.has(name)) {
      throw new ConflictError(name);
    }
    // Its value is left out, unlike in etcd's log: it may well be a password.
    if (name.startsWith(PREFIX)) {
      notes.push({
        level: "warn",
        message: "unrecognized environment variable",
        fields: { "environment-variable": name },
      });
    }
  }
  if (problem !== undefined) throw problem;
  return notes;
}

/** A flag and a variable set the same thing. */
export class ConflictError extends Error {
  readonly variable: string;

  constructor(variable: string) {
    super(
      "conflicting environment variable is shadowed by corresponding command-line flag " +
        "(either unset environment variable or disable flag))",
    );
    this.name = "ConflictError";
    this.variable = variable;
  }
}
