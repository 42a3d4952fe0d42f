/**
 * The real machine behind the interfaces of `io`: disk, network, clock, entropy, digests. The only room below the edge
 * where `node:*`, Bun and libc may be touched, for Bun and Deno alike. It knows nothing of what is stored or sent, or when.
 *
 * Invariants
 * 1. A failed operation is a DiskError with the system's code; nothing is retried after a failed sync.
 * 2. No file is ever sparse: space is allocated, or written with zeros where the file system cannot.
 * 3. A stalling disk does not stall the event loop: reads, writes and syncs run on the thread pool.
 * 4. What a client sends stays with the system while its stream is paused or nobody listens. A listener is never called
 *    from inside a call to its stream, and what it throws ends the process.
 *
 * Read: libc, init_daemon, disk, net_address, node_net, bun_net, net, clock, entropy, crypto.
 */
export { systemClock } from "./clock.ts";
export { systemCrypto } from "./crypto.ts";
export { systemDisk } from "./disk.ts";
export { systemEntropy } from "./entropy.ts";
export { notifyInitDaemon } from "./init_daemon.ts";
export { bunNetwork, nodeNetwork, systemNetwork } from "./net.ts";
