/**
 * The settings of an operator: command line, environment and configuration file, in etcd's names and syntax.
 *
 * Knows nothing of what the settings mean together (that is `cli/config`), nor of logs: what it has to say it returns.
 *
 * Invariants
 * 1. The table holds every flag of etcd 3.7.1 and no other.
 * 2. A flag whose feature is missing is never accepted and ignored: `later` says what is missing, and `cli/config`
 *    refuses every value but the default.
 * 3. A configuration file replaces flags and environment altogether.
 *
 * Read in this order: values, table, settings, parse, environment, file, help.
 */

export { ConflictError, type Environment, readEnvironment, variableName } from "./environment.ts";
export { readFileSettings } from "./file.ts";
export { helpText } from "./help.ts";
export type { Note } from "./note.ts";
export { parseArguments, type ParseResult } from "./parse.ts";
export { asksForDefault, type Setting, Settings, type Source } from "./settings.ts";
export { findFlag, type Flag, type FlagKind, FLAGS, type FlagValue } from "./table.ts";
