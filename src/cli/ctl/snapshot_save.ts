/** `snapshot save`: the database of a member, as it is now, into a file of this machine. */

import { formatDuration } from "../../base/duration.ts";
import { formatSize } from "../../base/size.ts";
import { equalBytes } from "../../base/bytes.ts";
import { SNAPSHOT_CONNECT_RETRY_MS, SNAPSHOT_WRITE_SIZE, SNAPSHOT_WRITES_MAX } from "../../base/limits.ts";
import { DiskError, type File } from "../../io/disk.ts";
import { systemCrypto, systemDisk } from "../../io/system/mod.ts";
import { type Command, CommandError, type Console, ExitCode, type Invocation } from "../command_line/mod.ts";
import { printerOf, Progress } from "../output/mod.ts";
import { callErrorText, type Client, isUnreachable, openClient } from "./client.ts";
import { type ClientSettings, readSettings } from "./settings.ts";
import type { SnapshotPiece } from "./snapshot_stream.ts";
import { dirname } from "node:path";

const DIGEST_SIZE = 32;

export const SNAPSHOT_SAVE: Command = {
  name: "save",
  argumentsUsage: "<filename>",
  summary: "Saves a snapshot of a member's database to a file",
  description: "Saves a snapshot of the database of the one member named by --endpoints to a file.\n\n" +
    "The file appears under its name once it is complete, compared with its SHA-256 and durable; until then it is\n" +
    "<filename>.part, which is removed if anything goes wrong.",
  run,
};

async function run({ flags, arguments: paths, console }: Invocation): Promise<number> {
  if (paths.length !== 1) {
    throw new CommandError(ExitCode.BAD_ARGUMENTS, "snapshot save expects one argument <filename>");
  }
  const settings = readSettings(flags, console);
  printerOf(flags);
  const { endpoints } = settings;
  if (endpoints.length !== 1) {
    throw new CommandError(
      ExitCode.INTERRUPTED,
      `snapshot must be requested to one selected node, not multiple [${endpoints.join(" ")}]`,
    );
  }
  const [path] = paths;
  const abort = new AbortController();
  let interruption: number | undefined;
  const release = console.onInterrupt((exitCode) => {
    interruption = exitCode;
    abort.abort();
  });
  const timeout = settings.isCommandTimeoutSet
    ? AbortSignal.timeout(settings.commandTimeoutMs)
    : new AbortController().signal;
  try {
    const version = await save(path, settings, console, AbortSignal.any([abort.signal, timeout]));
    console.out(`Snapshot saved at ${path}\n${version === "" ? "" : `Server version ${version}\n`}`);
    return ExitCode.SUCCESS;
  } catch (error) {
    if (interruption !== undefined) {
      console.error("Error: interrupted; nothing was saved\n");
      return interruption;
    }
    if (timeout.aborted) throw new CommandError(ExitCode.INTERRUPTED, "context deadline exceeded");
    throw error;
  } finally {
    release();
  }
}

/** Returns the version of the server's storage. Throws a CommandError; the file under its name is then as it was. */
async function save(path: string, settings: ClientSettings, console: Console, signal: AbortSignal): Promise<string> {
  const partPath = `${path}.part`;
  let file: File;
  try {
    file = await systemDisk.open(partPath, { write: true, create: true });
  } catch (error) {
    throw new CommandError(ExitCode.INTERRUPTED, `could not open ${partPath} (${(error as Error).message})`);
  }
  const client = openClient(settings.endpoints[0], settings);
  const progress = new Progress(console, "saving");
  try {
    await file.truncate(0);
    console.log.info("created temporary db file", { path: partPath });
    const version = await fetchSnapshot(client, file, settings, console, progress, signal);
    await file.close();
    await rename(partPath, path);
    console.log.info("saved", { path });
    return version;
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    throw new CommandError(ExitCode.INTERRUPTED, `could not write snapshot: ${error.message}`);
  } finally {
    progress.clear();
    client.close();
    await file.close();
    await systemDisk.remove(partPath);
  }
}

async function rename(from: string, to: string): Promise<void> {
  try {
    await systemDisk.rename(from, to);
  } catch (error) {
    throw new CommandError(
      ExitCode.INTERRUPTED,
      `could not rename ${from} to ${to} (${(error as Error).message})`,
    );
  }
  await systemDisk.syncDirectory(dirname(to));
}

async function fetchSnapshot(
  client: Client,
  file: File,
  settings: ClientSettings,
  console: Console,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const beganMs = performance.now();
  const endpoint = settings.endpoints[0];
  const target = new SnapshotFile(file);
  let version: string | undefined;
  const take = (piece: SnapshotPiece) => {
    if (version === undefined) console.log.info("fetching snapshot", { endpoint });
    version = piece.version;
    const waits = target.add(piece.blob);
    progress.show(target.size, target.size + piece.remaining);
    return waits;
  };
  const untilMs = beganMs + settings.dialTimeoutMs;
  for (let isOver = false; !isOver;) {
    try {
      await client.receiveSnapshot(take, signal);
      isOver = true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof DiskError) throw error;
      // As long as nothing has come and --dial-timeout is not over, it is tried again. (etcdctl tries for ever.)
      if (version !== undefined || !isUnreachable(error)) {
        throw new CommandError(ExitCode.INTERRUPTED, `could not write snapshot: ${callErrorText(error)}`);
      }
      if (performance.now() >= untilMs) throw unreachableError(settings, error);
      await new Promise((resolve) => setTimeout(resolve, SNAPSHOT_CONNECT_RETRY_MS));
    }
  }
  await target.finish();
  const size = target.size;
  const took = formatDuration(performance.now() - beganMs);
  progress.clear();
  console.log.info("fetched snapshot", { endpoint, size: formatSize(size), took, "etcd-version": version });
  return version ?? "";
}

function unreachableError(settings: ClientSettings, reason: unknown): CommandError {
  return new CommandError(
    ExitCode.INTERRUPTED,
    `${settings.endpoints[0]} could not be reached within ${formatDuration(settings.dialTimeoutMs)} ` +
      `(${callErrorText(reason)}); is the member running, and are --endpoints and the TLS flags right?`,
  );
}

/** The file being written, in large pieces, some of them on their way to the disk while the next is filled. */
class SnapshotFile {
  readonly #file: File;
  readonly #digest = systemCrypto.sha256Stream();
  #filling = new Uint8Array(SNAPSHOT_WRITE_SIZE);
  #filled = 0;
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  /** Bytes given to the disk. */
  #position = 0;
  #writing: Promise<void> = Promise.resolve();
  #pendingCount = 0;
  /** What may be the digest: it is hashed once something else follows it. */
  #last: Uint8Array = new Uint8Array(0);

  constructor(file: File) {
    this.#file = file;
  }

  /** Bytes taken so far. */
  get size(): number {
    return this.#position + this.#filled;
  }

  /** Takes the next piece, copied before it returns. A promise where the disk has to be waited for; it may reject. */
  add(blob: Uint8Array): Promise<void> | undefined {
    this.#digest.update(this.#last);
    this.#last = this.#last.subarray(0, 0);
    if (blob.length === DIGEST_SIZE) this.#last = blob.slice();
    else this.#digest.update(blob);
    for (let offset = 0; offset < blob.length;) {
      const piece = blob.subarray(offset, offset + this.#filling.length - this.#filled);
      this.#filling.set(piece, this.#filled);
      this.#filled += piece.length;
      offset += piece.length;
      if (this.#filled === this.#filling.length) this.#write();
    }
    return this.#pendingCount < SNAPSHOT_WRITES_MAX ? undefined : this.#writing;
  }

  #write(): void {
    const data = this.#filling;
    const position = this.#position;
    const write = this.#file.write(data.subarray(0, this.#filled), position).then(() => {
      this.#pendingCount--;
      this.#spare.push(data);
    });
    this.#pendingCount++;
    this.#writing = Promise.all([this.#writing, write]).then(() => {});
    // Whoever waits next meets its failure; until then nobody looks.
    this.#writing.catch(() => {});
    this.#position += this.#filled;
    this.#filled = 0;
    this.#filling = this.#spare.pop() ?? new Uint8Array(SNAPSHOT_WRITE_SIZE);
  }

  /** Compares the digest at the end with what came before it, and makes the file durable. */
  async finish(): Promise<void> {
    if (this.#last.length !== DIGEST_SIZE || this.size % 512 !== DIGEST_SIZE) {
      throw new CommandError(ExitCode.INTERRUPTED, `sha256 checksum not found [bytes: ${this.size}]`);
    }
    const digest = this.#digest.digest();
    if (!equalBytes(digest, this.#last)) {
      throw new CommandError(
        ExitCode.INTERRUPTED,
        `expected sha256 [${this.#last.join(" ")}], got [${digest.join(" ")}]: ` +
          "the snapshot was damaged on its way; nothing was saved, try again",
      );
    }
    this.#write();
    await this.#writing;
    try {
      await this.#file.syncData();
    } catch (error) {
      throw new CommandError(ExitCode.INTERRUPTED, `could not fsync snapshot: ${(error as Error).message}`);
    }
  }
}
