/**
 * Commands that work on files: etcdutl's `snapshot status|restore`, `hashkv`, `migrate` and `defrag`, with its flags, texts
 * and exit codes.
 *
 * Knows nothing of running members, but that it must stay away from their files: it takes the locks that they take.
 *
 * Invariants
 * 1. Only `restore`, `migrate` and `defrag` write. What they write is complete and durable before it gets its name.
 * 2. A file is checked before anything in it is used.
 *
 * Divergences from etcdutl: `status` compares the SHA-256 of a saved snapshot too and does not wait for ever for a file
 * in use; `hashkv` changes nothing (etcdutl finishes compactions in the file, whose digest is then wrong); a damaged file
 * is an error, where etcdutl may end in a panic.
 *
 * Read in this order: flags, schema, database, digest, packed_rows, rewrite, staging, data_directory; then the commands:
 * snapshot_status, hashkv, initial_cluster, snapshot_restore, defrag, schema_version, log_version, migrate.
 */

export { DATA_DIRECTORY_FLAG, DEFRAG_FILE, defragmentDirectory } from "./defrag.ts";
export { FILE_FLAGS } from "./flags.ts";
export { HASH_KV } from "./hashkv.ts";
export { MIGRATE } from "./migrate.ts";
export { SNAPSHOT_RESTORE } from "./snapshot_restore.ts";
export { SNAPSHOT_STATUS } from "./snapshot_status.ts";
