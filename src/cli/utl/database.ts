/** Database files as the commands open them. */

import { FILE_LOCK_RETRY_MS } from "../../base/limits.ts";
import { DiskError, type File } from "../../io/disk.ts";
import { systemDisk } from "../../io/system/mod.ts";
import { BoltDatabase, BoltError } from "../../storage/bolt/mod.ts";
import { CommandError, ExitCode } from "../command_line/mod.ts";

/** Throws a CommandError in Go's words unless there is something at `path`. */
export async function requireFile(path: string): Promise<void> {
  try {
    if (await systemDisk.stat(path) !== undefined) return;
  } catch (error) {
    throw asCommandError(error);
  }
  throw new CommandError(ExitCode.ERROR, `stat ${path}: no such file or directory`);
}

/**
 * Runs `work` on the database in a file that no other process has open for writing meanwhile. `lockTimeoutMs`: how long to
 * wait for one that has; 0 is for ever. Throws a CommandError.
 */
export async function withDatabase<T>(
  path: string,
  lockTimeoutMs: number,
  work: (database: BoltDatabase) => Promise<T>,
): Promise<T> {
  try {
    const file = await openLocked(path, lockTimeoutMs);
    try {
      return await work(await openDatabase(file));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw asCommandError(error);
  }
}

async function openDatabase(file: File): Promise<BoltDatabase> {
  try {
    return await BoltDatabase.open(file);
  } catch (error) {
    if (!(error instanceof BoltError)) throw error;
    throw new CommandError(ExitCode.ERROR, `invalid database (${error.message})`);
  }
}

async function openLocked(path: string, timeoutMs: number): Promise<File> {
  const file = await openForLock(path);
  if (file === undefined) return await systemDisk.open(path);
  const untilMs = performance.now() + (timeoutMs === 0 ? Infinity : timeoutMs);
  try {
    while (!await file.tryLock()) {
      if (performance.now() >= untilMs) {
        throw new CommandError(
          ExitCode.ERROR,
          `timeout: ${path} is in use by another process; stop that member, or work on a snapshot of it`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, FILE_LOCK_RETRY_MS));
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A lock needs a file that may be written. One that may not is read as it is: no member can be working on it either. */
async function openForLock(path: string): Promise<File | undefined> {
  try {
    return await systemDisk.open(path, { write: true });
  } catch (error) {
    if (error instanceof DiskError && ["EACCES", "EPERM", "EROFS"].includes(error.code)) return undefined;
    throw error;
  }
}

/** What goes wrong with files and databases ends a command with its own text. */
export function asCommandError(error: unknown): unknown {
  const isExpected = error instanceof DiskError || error instanceof BoltError;
  return isExpected ? new CommandError(ExitCode.ERROR, error.message) : error;
}
