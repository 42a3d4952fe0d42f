/**
 * A directory that appears under its name complete or not at all: it is filled beside its place under a name that nobody
 * else has, and renamed. Where its place is a mount point, which cannot be renamed onto, only what is in it is.
 */

import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { systemDisk } from "../../io/system/mod.ts";
import { randomSuffix } from "./data_directory.ts";

export class StagedDirectory {
  /** To be filled, durably. */
  readonly path: string;
  readonly #target: string;
  /** Directories that were made for it to stand in, the highest first. */
  readonly #made: readonly string[];
  readonly #isInside: boolean;
  #isPublished = false;

  private constructor(path: string, target: string, made: readonly string[], isInside: boolean) {
    this.path = path;
    this.#target = target;
    this.#made = made;
    this.#isInside = isInside;
  }

  /** `target` is missing or empty. Rejects with an error of the system. */
  static async create(target: string): Promise<StagedDirectory> {
    const parent = dirname(target);
    const made = await makeDurably(parent);
    const isInside = await isMountPoint(target);
    const path = `${isInside ? join(target, "restore") : target}.restore-${randomSuffix()}`;
    await fs.mkdir(path, { mode: 0o700 });
    return new StagedDirectory(path, target, made, isInside);
  }

  /** Gives the directory its name, durably. */
  async publish(): Promise<void> {
    await systemDisk.syncDirectory(this.path);
    if (this.#isInside) {
      for (const name of await systemDisk.list(this.path)) {
        await systemDisk.rename(join(this.path, name), join(this.#target, name));
      }
      await fs.rmdir(this.path);
      await systemDisk.syncDirectory(this.#target);
    } else {
      // Replaces an empty directory.
      await systemDisk.rename(this.path, this.#target);
      await systemDisk.syncDirectory(dirname(this.#target));
    }
    this.#isPublished = true;
  }

  /** Takes everything away again, as far as it is ours. */
  async discard(): Promise<void> {
    if (!this.#isPublished) await systemDisk.removeDirectory(this.path);
    else if (this.#isInside) await removeContents(this.#target);
    else await systemDisk.removeDirectory(this.#target);
    for (const directory of this.#made.toReversed()) {
      try {
        await fs.rmdir(directory);
      } catch {
        // Somebody else has put something there meanwhile.
        return;
      }
    }
  }
}

async function removeContents(directory: string): Promise<void> {
  for (const name of await systemDisk.list(directory)) await systemDisk.removeDirectory(join(directory, name));
}

/** Makes what is missing of a path, and makes it durable. Returns what it made, the highest first. */
async function makeDurably(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = path; await systemDisk.stat(at) === undefined; at = dirname(at)) missing.unshift(at);
  for (const directory of missing) {
    await fs.mkdir(directory, { mode: 0o700 });
    await systemDisk.syncDirectory(dirname(directory));
  }
  return missing;
}

async function isMountPoint(path: string): Promise<boolean> {
  if (await systemDisk.stat(path) === undefined || basename(path) === "") return false;
  const [own, parent] = await Promise.all([fs.stat(path), fs.stat(dirname(path))]);
  return own.dev !== parent.dev;
}
