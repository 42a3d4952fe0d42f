import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import process from "node:process";
import { check, type Context } from "./context.ts";

/** Throws where such a disk cannot be made. */
export function requireNamespaces(): void {
  check(
    process.getuid?.() === 0,
    "needs root, to mount a small file system: run it as root, or in a container as root",
  );
  for (const program of ["/usr/bin/unshare", "/usr/bin/nsenter"]) {
    check(existsSync(program), `needs ${program} (util-linux), to mount a small file system for itself`);
  }
}

/**
 * A small file system that only processes started through `wrapper` see, at `path`: a tmpfs in a mount namespace of its
 * own, which a small process holds while others come and go.
 */
export class SmallDisk {
  readonly path: string;
  readonly wrapper: readonly string[];

  static async mount(context: Context, name: string, size: number): Promise<SmallDisk> {
    const path = `${context.directory}/${name}`;
    mkdirSync(path);
    // `read` ends when this process does, however that comes.
    const script = `mount -t tmpfs -o size=${size},mode=0700 tmpfs "$1" && echo mounted && read _`;
    const holder = spawn("unshare", ["-m", "sh", "-c", script, "sh", path], { stdio: ["pipe", "pipe", "pipe"] });
    context.onEnd(() => {
      holder.stdin.end();
    });
    let errors = "";
    holder.stderr.on("data", (data: Uint8Array) => errors += data);
    await new Promise<void>((resolve, reject) => {
      holder.stdout.once("data", () => resolve());
      holder.once("error", reject);
      holder.once("exit", (code) => reject(new Error(`cannot mount a tmpfs (code ${code}): ${errors.trim()}`)));
    });
    return new SmallDisk(path, ["nsenter", "-m", "-t", String(holder.pid)]);
  }

  private constructor(path: string, wrapper: readonly string[]) {
    this.path = path;
    this.wrapper = wrapper;
  }

  async resize(size: number): Promise<void> {
    const [program, ...args] = [...this.wrapper, "mount", "-o", `remount,size=${size}`, this.path];
    const code = await new Promise((resolve) => spawn(program!, args, { stdio: "ignore" }).once("exit", resolve));
    check(code === 0, `cannot resize the tmpfs: code ${code}`);
  }
}
