/**
 * The log of the process, in etcd's shape: one JSON object a line, or something readable on a terminal.
 *
 * Knows nothing of who writes to it; everything below `cli` sees only `io/log`.
 *
 * Invariants
 * 1. Keys, their order and the form of `ts` are zap's as etcd sets it: tools read them.
 * 2. A line is written before the call returns, or counted as dropped; the server never waits long for its log.
 * 3. No message fills the log: see `Sampler`.
 *
 * Read in this order: encode, format, sampler, output, logger.
 */

export { type LogOptions, openLog, type ProcessLogger } from "./logger.ts";
