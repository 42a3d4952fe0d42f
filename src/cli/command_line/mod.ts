/**
 * Command lines of etcd's tools: a tree of commands with flags, read and explained as Go's cobra and pflag do, so that
 * scripts written for etcdctl and etcdutl find the same syntax, texts and exit codes.
 *
 * Knows nothing of what the commands do. (The server's own flags follow another package of Go's: see `cli/flags`.)
 *
 * Invariants
 * 1. Help goes to standard output with exit code 0; what was wrong goes to standard error, with the usage below it.
 * 2. Every way out of a command is an exit code; nothing in here ends the process.
 *
 * Read in this order: flag, flag_values, command, parse, usage, execute.
 */

export { type Command, CommandError, type Console, ExitCode, type Invocation } from "./command.ts";
export { execute } from "./execute.ts";
export { type Flag, FlagError, type FlagKind, readFlagValue } from "./flag.ts";
export { FlagValues } from "./flag_values.ts";
export { flagsText } from "./usage.ts";
