import { CommandError, ExitCode, type FlagValues } from "../command_line/mod.ts";
import { formatSize } from "../../base/size.ts";
import { tableText } from "./table.ts";

/** What `snapshot status` finds; names and order of the fields are those of its JSON. */
export interface SnapshotStatus {
  readonly hash: number;
  readonly revision: bigint;
  readonly totalKey: number;
  readonly totalSize: number;
  /** Empty for files of a version before 3.6. */
  readonly version: string;
}

/** What `hashkv` finds. */
export interface HashKv {
  readonly hash: number;
  readonly hashRevision: bigint;
  readonly compactRevision: bigint;
}

/** One form of output: each returns what goes to standard output, or throws a CommandError. */
export interface Printer {
  status(status: SnapshotStatus): string;
  hashKv(hash: HashKv): string;
}

/** The form that `--write-out` asks for. Throws a CommandError for one that there is not. */
export function printerOf(flags: FlagValues): Printer {
  const printer = PRINTERS.get(flags.string("write-out"));
  if (printer === undefined) throw new CommandError(ExitCode.BAD_FEATURE, "unsupported output format");
  return printer;
}

const STATUS_HEADER = ["hash", "revision", "total keys", "total size", "version"];
const HASH_HEADER = ["hash", "hash revision", "compact revision"];

function statusRow({ hash, revision, totalKey, totalSize, version }: SnapshotStatus): string[] {
  return [hash.toString(16), String(revision), String(totalKey), formatSize(totalSize), version];
}

function hashRow({ hash, hashRevision, compactRevision }: HashKv): string[] {
  return [String(hash), String(hashRevision), String(compactRevision)];
}

function fieldsText(fields: readonly (readonly [name: string, value: unknown])[]): string {
  return fields.map(([name, value]) => `"${name}" : ${value}\n`).join("");
}

function unsupported(format: string): never {
  throw new CommandError(ExitCode.BAD_FEATURE, `${format} not supported as output format`);
}

const PRINTERS: ReadonlyMap<string, Printer> = new Map<string, Printer>([
  ["simple", {
    status: (status) => `${statusRow(status).join(", ")}\n`,
    hashKv: (hash) => `${hashRow(hash).join(", ")}\n`,
  }],
  ["table", {
    status: (status) => tableText(STATUS_HEADER, [statusRow(status)]),
    hashKv: (hash) => tableText(HASH_HEADER, [hashRow(hash)]),
  }],
  ["json", {
    // Revisions may be beyond what JSON.stringify writes exactly.
    status: ({ hash, revision, totalKey, totalSize, version }) =>
      `{"hash":${hash},"revision":${revision},"totalKey":${totalKey},"totalSize":${totalSize},` +
      `"version":${JSON.stringify(version)}}\n`,
    hashKv: ({ hash, hashRevision, compactRevision }) =>
      `{"hash":${hash},"hashRevision":${hashRevision},"compactRevision":${compactRevision}}\n`,
  }],
  ["fields", {
    status: ({ hash, revision, totalKey, totalSize, version }) =>
      fieldsText([
        ["Hash", hash],
        ["Revision", revision],
        ["Keys", totalKey],
        ["Size", totalSize],
        ["Version", version],
      ]),
    hashKv: ({ hash, hashRevision, compactRevision }) =>
      fieldsText([["Hash", hash], ["Hash revision", hashRevision], ["Compact revision", compactRevision]]),
  }],
  ["protobuf", { status: () => unsupported("protobuf"), hashKv: () => unsupported("protobuf") }],
]);
