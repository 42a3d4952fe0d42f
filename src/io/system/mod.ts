/**
 * The real machine behind the interfaces of `io`: disk, clock, entropy, digests. The only room below the edge where
 * `node:*` and libc may be touched, for Bun and Deno alike. It knows nothing of what is stored or when.
 *
 * Invariants
 * 1. A failed operation is a DiskError with the system's code; nothing is retried after a failed sync.
 * 2. No file is ever sparse: space is allocated, or written with zeros where the file system cannot.
 * 3. A stalling disk does not stall the event loop: reads, writes and syncs run on the thread pool.
 *
 * Read: libc, disk, clock, entropy, crypto.
 */
export { systemClock } from "./clock.ts";
export { systemCrypto } from "./crypto.ts";
export { systemDisk } from "./disk.ts";
export { systemEntropy } from "./entropy.ts";
