import { spawn, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { check, type Context } from "./context.ts";
import { requireNamespaces } from "./small_disk.ts";

/**
 * A small ext4 in a file, mounted where only processes started through `wrapper` see it, at `path`. While it is frozen
 * whatever writes to it stands still, and cannot be killed either.
 */
export class FreezingDisk {
  readonly path: string;
  readonly wrapper: readonly string[];

  static async mount(context: Context, name: string, size: number): Promise<FreezingDisk> {
    requireNamespaces();
    const path = `${context.directory}/${name}`;
    mkdirSync(path);
    // `read` ends when this process does, however that comes.
    const script =
      'truncate -s "$2" "$1.img" && mkfs.ext4 -q "$1.img" && mount -o loop "$1.img" "$1" && echo mounted && read _';
    const args = ["-m", "sh", "-c", script, "sh", path, String(size)];
    const holder = spawn("unshare", args, { stdio: ["pipe", "pipe", "pipe"] });
    context.onEnd(async () => {
      const ended = new Promise((resolve) => holder.once("exit", resolve));
      if (holder.exitCode !== null) return;
      holder.stdin.end();
      await ended;
    });
    let errors = "";
    holder.stderr.on("data", (data: Uint8Array) => errors += data);
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`cannot mount an ext4 (code ${code}): ${errors.trim()}`)));
    });
    return new FreezingDisk(path, ["nsenter", "-m", "-t", String(holder.pid)]);
  }

  private constructor(path: string, wrapper: readonly string[]) {
    this.path = path;
    this.wrapper = wrapper;
  }

  /** Freezes it while `during` runs. */
  async frozen<T>(during: () => Promise<T>): Promise<T> {
    this.#freeze("-f");
    try {
      return await during();
    } finally {
      this.#freeze("-u");
    }
  }

  #freeze(flag: "-f" | "-u"): void {
    const [program, ...args] = [...this.wrapper, "fsfreeze", flag, this.path];
    const { status, error, stderr } = spawnSync(program!, args, { encoding: "utf8" });
    check(status === 0, `fsfreeze ${flag} (util-linux): ${error?.message ?? stderr}`);
  }
}
