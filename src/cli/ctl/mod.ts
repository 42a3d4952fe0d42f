/**
 * Commands that talk to running members: etcdctl's `snapshot save` and `defrag`, with its flags, variables, texts and
 * exit codes.
 *
 * Knows nothing of what is in a database. The client is a library's, on the runtime's HTTP/2: the engine in `rpc` serves.
 *
 * Invariants
 * 1. A file appears under its name only complete, compared with its digest, and durable.
 *
 * Divergences from etcdctl: a member that cannot be reached is an error after --dial-timeout, and a variable whose value
 * cannot be read is an error too.
 *
 * Read in this order: flags, environment, settings, client, snapshot_stream, snapshot_save, defrag.
 */

export { DEFRAG, defragmentMembers } from "./defrag.ts";
export { CLIENT_FLAGS, WRITE_OUT } from "./flags.ts";
export { SNAPSHOT_SAVE } from "./snapshot_save.ts";
