/**
 * What the tools print, in the forms of `--write-out`, byte for byte as etcd's tools print it.
 *
 * Knows nothing of where the figures come from.
 *
 * Invariants
 * 1. What scripts read goes to standard output; progress goes to standard error, and only to a terminal.
 *
 * Read in this order: table, printer, progress.
 */

export { type HashKv, type Printer, printerOf, type SnapshotStatus } from "./printer.ts";
export { Progress, progressText } from "./progress.ts";
export { tableText } from "./table.ts";
