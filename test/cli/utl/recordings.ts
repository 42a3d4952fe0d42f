/** What is run, on what files, by the recorder with etcdutl and by the test with ours. */

/** A file made from the recorded snapshot. */
export const FILES: Readonly<Record<string, (snapshot: Uint8Array) => Uint8Array>> = {
  "good.db": (snapshot) => snapshot,
  "without_hash.db": (snapshot) => snapshot.subarray(0, snapshot.length - 32),
  "wrong_hash.db": (snapshot) => flipped(snapshot, snapshot.length - 1),
  "wrong_byte.db": (snapshot) => flipped(snapshot, 3 * 4096 + 2000),
  "cut_short.db": (snapshot) => snapshot.subarray(0, 8192),
  "tiny.db": (snapshot) => snapshot.subarray(0, 10),
};

function flipped(bytes: Uint8Array, position: number): Uint8Array {
  const copy = bytes.slice();
  copy[position] ^= 1;
  return copy;
}

const FORMATS = ["simple", "json", "table", "fields", "protobuf", "xml"];

/** Command lines, run in a directory that holds these files. */
export const COMMANDS: readonly (readonly string[])[] = [
  ...FORMATS.map((format) => ["snapshot", "status", "good.db", "-w", format]),
  ...FORMATS.map((format) => ["hashkv", "good.db", `--write-out=${format}`]),
  ...["0", "3", "4", "5", "8", "9", "10", "-1"].map((revision) => ["hashkv", "good.db", `--rev=${revision}`]),
  ["snapshot", "status", "without_hash.db"],
  ["snapshot", "status", "no-such-file"],
  ["snapshot", "status", "no-such-file", "-w", "xml"],
  ["snapshot", "status"],
  ["snapshot", "status", "good.db", "good.db"],
  ["hashkv", "no-such-file"],
  ["snapshot", "restore"],
  ["snapshot", "restore", "no-such-file"],
  ["snapshot", "restore", "tiny.db"],
  ["snapshot", "restore", "cut_short.db"],
  ["snapshot", "restore", "without_hash.db"],
  ["snapshot", "restore", "wrong_hash.db"],
  ["snapshot", "restore", "wrong_byte.db"],
  ["snapshot", "restore", "good.db", "--data-dir", "."],
  ["snapshot", "restore", "good.db", "--wal-dir", "."],
  ["snapshot", "restore", "good.db", "--bump-revision", "5"],
  ["snapshot", "restore", "good.db", "--mark-compacted"],
  ["snapshot", "restore", "good.db", "--name", "other"],
  ["snapshot", "restore", "good.db", "--initial-cluster", ""],
  ["snapshot", "restore", "good.db", "--initial-cluster", "default=nowhere"],
  ["snapshot", "restore", "good.db", "--initial-cluster", "default=http://localhost:2381"],
  ["snapshot", "restore", "good.db", "--initial-cluster", "default=http://127.0.0.1:2380"],
  ["snapshot", "restore", "good.db", "--initial-cluster", "default=http://localhost:2380,b=http://localhost:2380"],
  ["snapshot", "restore", "good.db", "--initial-cluster", "default=http://localhost:2380,default=http://localhost:1"],
  ["snapshot", "restore", "good.db", "--initial-advertise-peer-urls", ""],
  ["snapshot", "restore", "good.db", "--initial-advertise-peer-urls", "http://localhost:2380,http://localhost:2390"],
  ["snapshot", "restore", "good.db"],
  ["snapshot", "restore", "without_hash.db", "--skip-hash-check"],
  ["defrag", "--data-dir", "no-such-directory"],
  ["migrate", "--data-dir", "no-such-directory", "--target-version", "3.6"],
  ["migrate", "--data-dir", ".", "--target-version", "3"],
  ["migrate", "--data-dir", ".", "--target-version", "3.x"],
  ["migrate", "--data-dir", ".", "--target-version", "3.4"],
  ["version"],
  ["version", "more"],
  ["bogus"],
  ["defrg"],
  ["--bogus"],
  ["hashkv", "--rev", "x", "good.db"],
  ["hashkv", "--rev=99999999999999999999", "good.db"],
  ["hashkv"],
  ["hashkv", "-w"],
  ["hashkv", "good.db", "--timeout=1"],
  ["hashkv", "good.db", "-z"],
  ["defrag"],
  ["migrate"],
  ["snap", "stat", "good.db"],
  ["--write-out", "json", "snapshot", "status", "good.db"],
];

export interface Recording {
  readonly args: readonly string[];
  readonly code: number;
  readonly out: string;
  /** The first line of standard error that is no line of the log; the usage below it is each program's own. */
  readonly error: string;
}

export interface Recorded {
  /** A snapshot that etcd saved: gzip, base64. */
  readonly snapshot: string;
  readonly runs: readonly Recording[];
}

export function firstError(text: string): string {
  return text.split("\n").find((line) => line.startsWith("Error: ")) ?? "";
}
