/**
 * A disk in memory that keeps the contract of io/disk.ts as badly as it allows: after a power loss unsynced writes are
 * lost, torn at 512-byte sectors or reordered, unsynced names are lost, and a failed sync forgets what it was to write.
 * Everything follows from one seed; no real time passes.
 *
 * Every operation that changes something is numbered and traced. The `fault` hook decides for each of them whether the
 * power fails before or after it, whether it fails, or whether it takes long.
 */

import { assert } from "../../src/base/assert.ts";
import { type Disk, DiskError, type File, type FileStat, type OpenOptions } from "../../src/io/disk.ts";

const SECTOR_SIZE = 512;

export type OperationKind =
  | "create"
  | "write"
  | "sync"
  | "allocate"
  | "truncate"
  | "rename"
  | "remove"
  | "make-directory"
  | "remove-directory"
  | "sync-directory";

export interface Operation {
  /** From 1, in the order in which operations take effect. */
  readonly number: number;
  readonly kind: OperationKind;
  readonly path: string;
}

export type Fault =
  /** The power fails just before or just after it takes effect; it is never reported done. */
  | "crash-before"
  | "crash-after"
  /** It fails with this code. A failed write has written the sectors of its first half. */
  | { readonly fail: string }
  /** It takes this many turns of the microtask queue longer. */
  | { readonly stall: number };

export interface SimulatedDiskOptions {
  readonly seed: number;
  readonly fault?: (operation: Operation) => Fault | undefined;
  /** A sync for which this is true does nothing and reports success: to show that a test would notice. */
  readonly skipSync?: (operation: Operation) => boolean;
  /** Bytes that all files together may take. */
  readonly capacity?: number;
  /** Waits before an operation takes effect. Default: a few turns of the microtask queue, from the seed. */
  readonly latency?: (operation: Operation) => Promise<void>;
}

/** A file as it is (`content`), as it is on the disk (`durable`), and how the one became the other. */
interface Inode {
  readonly kind: "file";
  content: Uint8Array;
  durable: Uint8Array;
  changes: Change[];
  lockedBy: SimulatedFile | undefined;
}

type Change =
  | { readonly kind: "write"; readonly position: number; readonly data: Uint8Array }
  | { readonly kind: "resize"; readonly size: number };

interface Directory {
  readonly kind: "directory";
  entries: Map<string, Node>;
  durable: Map<string, Node>;
  changes: NameChange[];
}

type Node = Inode | Directory;

type NameChange =
  | { readonly kind: "add"; readonly name: string; readonly node: Node }
  | { readonly kind: "remove"; readonly name: string }
  | { readonly kind: "rename"; readonly from: string; readonly to: string; readonly node: Node };

function newDirectory(): Directory {
  return { kind: "directory", entries: new Map(), durable: new Map(), changes: [] };
}

/** The generator of the simulation (splitmix32): the same numbers on every runtime. */
export class SimulatedRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return Math.floor((((mixed ^ (mixed >>> 15)) >>> 0) / 0x100000000) * bound);
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000;
  }
}

export class SimulatedDisk implements Disk {
  /** One line per operation that took effect, in order. */
  readonly trace: string[] = [];
  /** Resolves when a fault has cut the power. From then on no operation is ever reported done. */
  readonly crashed: Promise<void>;
  capacity: number;
  #reportCrash!: () => void;
  #isDead = false;
  #operationCount = 0;
  #root: Directory;
  readonly #options: SimulatedDiskOptions;
  readonly #random: SimulatedRandom;

  constructor(options: SimulatedDiskOptions) {
    this.#options = options;
    this.#random = new SimulatedRandom(options.seed);
    this.#root = newDirectory();
    this.capacity = options.capacity ?? Infinity;
    this.crashed = new Promise((resolve) => this.#reportCrash = resolve);
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get operationCount(): number {
    return this.#operationCount;
  }

  /**
   * Cuts the power. Returns the disk as the machine finds it when it is switched on again. `survival` is the chance of
   * each unsynced sector, size and name to be there; it differs from one power loss to the next, the extremes included.
   */
  crash(options: SimulatedDiskOptions, survival = [0, 0.1, 0.5, 0.9, 1][this.#random.below(5)]): SimulatedDisk {
    this.#die();
    const disk = new SimulatedDisk(options);
    const kept = new Map<Node, Node>();
    disk.#root = this.#afterCrash(this.#root, survival, kept) as Directory;
    return disk;
  }

  /** Ends the process and leaves the machine running: nothing is lost, but nothing is durable that was not. */
  kill(options: SimulatedDiskOptions): SimulatedDisk {
    this.#die();
    const disk = new SimulatedDisk(options);
    disk.#root = this.#root;
    disk.#unlock(this.#root);
    return disk;
  }

  /** Everything on the disk as it is: path to bytes. Directories end with a slash and have none. */
  contents(): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    const visit = (directory: Directory, prefix: string) => {
      for (const [name, node] of [...directory.entries].sort(([a], [b]) => a < b ? -1 : 1)) {
        if (node.kind === "file") found.set(prefix + name, node.content);
        else {
          found.set(`${prefix}${name}/`, new Uint8Array(0));
          visit(node, `${prefix}${name}/`);
        }
      }
    };
    visit(this.#root, "");
    return found;
  }

  /** Puts a durable file there, with the directories above it: what the test starts from. */
  place(path: string, content: Uint8Array): void {
    const names = split(path);
    const last = names.pop()!;
    let directory = this.#root;
    for (const name of names) {
      let next = directory.entries.get(name);
      if (next === undefined) {
        next = newDirectory();
        directory.entries.set(name, next);
        directory.durable.set(name, next);
      }
      assert(next.kind === "directory", `${name} is a directory`);
      directory = next;
    }
    const inode: Inode = {
      kind: "file",
      content: content.slice(),
      durable: content.slice(),
      changes: [],
      lockedBy: undefined,
    };
    directory.entries.set(last, inode);
    directory.durable.set(last, inode);
  }

  async open(path: string, options: OpenOptions = {}): Promise<File> {
    const existing = this.#find(path);
    if (existing?.kind === "directory") throw new DiskError("EISDIR", "open", path);
    if (existing !== undefined && options.create && options.exclusive) throw new DiskError("EEXIST", "open", path);
    if (existing === undefined && !options.create) throw new DiskError("ENOENT", "open", path);
    if (existing !== undefined) {
      await this.#never();
      return new SimulatedFile(this, existing, path, options.write ?? false);
    }
    let inode: Inode = {
      kind: "file",
      content: new Uint8Array(0),
      durable: new Uint8Array(0),
      changes: [],
      lockedBy: undefined,
    };
    await this.perform("create", path, "", () => {
      const { directory, name } = this.#place(path, "open");
      const present = directory.entries.get(name);
      if (present?.kind === "file") inode = present;
      else this.#add(directory, name, inode);
    });
    return new SimulatedFile(this, inode, path, options.write ?? false);
  }

  async list(path: string): Promise<string[]> {
    await this.#never();
    const node = this.#find(path);
    if (node === undefined) throw new DiskError("ENOENT", "list", path);
    if (node.kind === "file") throw new DiskError("ENOTDIR", "list", path);
    return [...node.entries.keys()].sort();
  }

  async stat(path: string): Promise<FileStat | undefined> {
    await this.#never();
    const node = this.#find(path);
    if (node === undefined) return undefined;
    if (node.kind === "directory") return { size: 0, isDirectory: true, mode: 0o700 };
    return { size: node.content.length, isDirectory: false, mode: 0o600 };
  }

  makeDirectory(path: string): Promise<void> {
    return this.perform("make-directory", path, "", () => {
      let directory = this.#root;
      for (const name of split(path)) {
        const next = directory.entries.get(name) ?? this.#add(directory, name, newDirectory());
        if (next.kind === "file") throw new DiskError("ENOTDIR", "make directory", path);
        directory = next;
      }
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.perform("rename", from, ` to ${to}`, () => {
      const source = this.#place(from, "rename");
      const target = this.#place(to, "rename");
      assert(source.directory === target.directory, "the simulation renames within one directory");
      const node = source.directory.entries.get(source.name);
      if (node === undefined) throw new DiskError("ENOENT", "rename", from);
      const replaced = target.directory.entries.get(target.name);
      if (replaced?.kind === "directory" && replaced.entries.size > 0) throw new DiskError("ENOTEMPTY", "rename", to);
      source.directory.entries.delete(source.name);
      source.directory.entries.set(target.name, node);
      source.directory.changes.push({ kind: "rename", from: source.name, to: target.name, node });
    });
  }

  async remove(path: string): Promise<void> {
    if (this.#find(path) === undefined) return;
    await this.perform("remove", path, "", () => {
      const { directory, name } = this.#place(path, "remove");
      if (directory.entries.get(name)?.kind === "directory") throw new DiskError("EISDIR", "remove", path);
      if (directory.entries.delete(name)) directory.changes.push({ kind: "remove", name });
    });
  }

  async removeDirectory(path: string): Promise<void> {
    if (this.#find(path) === undefined) return;
    await this.perform("remove-directory", path, "", () => {
      const { directory, name } = this.#place(path, "remove directory");
      const node = directory.entries.get(name);
      if (node?.kind === "directory") this.#empty(node);
      if (directory.entries.delete(name)) directory.changes.push({ kind: "remove", name });
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.perform("sync-directory", path, "", () => {
      const node = this.#find(path);
      if (node?.kind !== "directory") throw new DiskError("ENOENT", "fsync", path);
      node.durable = new Map(node.entries);
      node.changes = [];
    }, () => {
      const node = this.#find(path);
      // The names are still seen, and will never be durable by themselves.
      if (node?.kind === "directory") node.changes = [];
    });
  }

  /**
   * Runs one numbered operation: after its latency, with its fault. `apply` takes effect at once; `onFailure` is what an
   * injected failure does instead.
   */
  async perform(
    kind: OperationKind,
    path: string,
    detail: string,
    apply: () => void,
    onFailure?: () => void,
  ): Promise<void> {
    if (this.#isDead) return await never();
    await this.#wait({ number: this.#operationCount + 1, kind, path });
    if (this.#isDead) return await never();
    const operation: Operation = { number: ++this.#operationCount, kind, path };
    const fault = this.#options.fault?.(operation);
    if (fault === "crash-before") return await this.#cutPower();
    const isSync = kind === "sync" || kind === "sync-directory";
    if (isSync && this.#options.skipSync?.(operation)) {
      this.trace.push(`${kind} ${path} (skipped)`);
    } else if (typeof fault === "object" && "fail" in fault) {
      onFailure?.();
      this.trace.push(`${kind} ${path}${detail}: ${fault.fail}`);
      throw new DiskError(fault.fail, kind, path);
    } else {
      try {
        apply();
      } catch (error) {
        this.trace.push(`${kind} ${path}${detail}: ${error instanceof DiskError ? error.code : error}`);
        throw error;
      }
      this.trace.push(`${kind} ${path}${detail}`);
    }
    if (fault === "crash-after") return await this.#cutPower();
    if (typeof fault === "object" && "stall" in fault) await turns(fault.stall);
  }

  nameOf(inode: Inode): string | undefined {
    const search = (directory: Directory, prefix: string): string | undefined => {
      for (const [name, node] of directory.entries) {
        const found = node === inode
          ? prefix + name
          : node.kind === "directory"
          ? search(node, `${prefix}${name}/`)
          : undefined;
        if (found !== undefined) return found;
      }
      return undefined;
    };
    return search(this.#root, "");
  }

  /** Bytes that may still be written beyond the present ends of the files. */
  get room(): number {
    if (this.capacity === Infinity) return Infinity;
    let used = 0;
    for (const content of this.contents().values()) used += content.length;
    return this.capacity - used;
  }

  /** Applies the changes of a failed sync in part, then forgets them: what was not written is never written. */
  forgetChanges(inode: Inode): void {
    inode.durable = withChanges(inode, () => this.#random.chance(0.5));
    inode.changes = [];
  }

  async #wait(operation: Operation): Promise<void> {
    if (this.#options.latency !== undefined) await this.#options.latency(operation);
    else await turns(1 + this.#random.below(4));
  }

  /** Reads take effect at once, unless the power is off. */
  async #never(): Promise<void> {
    if (this.#isDead) await never();
  }

  async #cutPower(): Promise<never> {
    this.#die();
    return await never();
  }

  #die(): void {
    this.#isDead = true;
    this.#reportCrash();
  }

  #find(path: string): Node | undefined {
    let node: Node = this.#root;
    for (const name of split(path)) {
      if (node.kind === "file") return undefined;
      const next: Node | undefined = node.entries.get(name);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  #place(path: string, operation: string): { directory: Directory; name: string } {
    const names = split(path);
    const name = names.pop();
    const directory = this.#find(names.join("/"));
    if (name === undefined || directory?.kind !== "directory") throw new DiskError("ENOENT", operation, path);
    return { directory, name };
  }

  #add(directory: Directory, name: string, node: Node): Node {
    directory.entries.set(name, node);
    directory.changes.push({ kind: "add", name, node });
    return node;
  }

  #empty(directory: Directory): void {
    for (const [name, node] of directory.entries) {
      if (node.kind === "directory") this.#empty(node);
      directory.entries.delete(name);
      directory.changes.push({ kind: "remove", name });
    }
  }

  #unlock(node: Node): void {
    if (node.kind === "file") node.lockedBy = undefined;
    else for (const child of node.entries.values()) this.#unlock(child);
  }

  #afterCrash(node: Node, survival: number, kept: Map<Node, Node>): Node {
    const known = kept.get(node);
    if (known !== undefined) return known;
    if (node.kind === "file") {
      const content = withChanges(node, () => this.#random.chance(survival));
      const inode: Inode = { kind: "file", content, durable: content.slice(), changes: [], lockedBy: undefined };
      kept.set(node, inode);
      return inode;
    }
    const names = new Map(node.durable);
    for (const change of node.changes) {
      if (!this.#random.chance(survival)) continue;
      if (change.kind === "add") names.set(change.name, change.node);
      else if (change.kind === "remove") names.delete(change.name);
      else {
        if (names.get(change.from) === change.node) names.delete(change.from);
        names.set(change.to, change.node);
      }
    }
    const directory = newDirectory();
    kept.set(node, directory);
    for (const [name, child] of names) directory.entries.set(name, this.#afterCrash(child, survival, kept));
    directory.durable = new Map(directory.entries);
    return directory;
  }
}

class SimulatedFile implements File {
  readonly path: string;
  readonly #disk: SimulatedDisk;
  readonly #inode: Inode;
  readonly #isWritable: boolean;
  #isClosed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(disk: SimulatedDisk, inode: Inode, path: string, isWritable: boolean) {
    this.#disk = disk;
    this.#inode = inode;
    this.path = path;
    this.#isWritable = isWritable;
  }

  /** What the file is called now: it may have been renamed since it was opened. */
  get #name(): string {
    return this.#disk.nameOf(this.#inode) ?? this.path;
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#inOrder(async () => {
      if (this.#disk.isDead) return await never();
      const part = this.#inode.content.subarray(position, position + target.length);
      target.set(part);
      return part.length;
    });
  }

  write(data: Uint8Array, position: number): Promise<void> {
    return this.#inOrder(() => this.#write(data, position));
  }

  syncData(): Promise<void> {
    return this.#inOrder(() => this.#sync());
  }

  writeDurable(data: Uint8Array, position: number): Promise<void> {
    return this.#inOrder(async () => {
      await this.#write(data, position);
      await this.#sync();
    });
  }

  allocate(size: number): Promise<void> {
    return this.#inOrder(() =>
      this.#disk.perform("allocate", this.#name, ` ${size}`, () => {
        const growth = Math.max(0, size - this.#inode.content.length);
        if (growth > this.#disk.room) throw new DiskError("ENOSPC", "allocate", this.path);
        if (growth > 0) this.#resize(size);
      })
    );
  }

  truncate(size: number): Promise<void> {
    return this.#inOrder(() => this.#disk.perform("truncate", this.#name, ` ${size}`, () => this.#resize(size)));
  }

  size(): Promise<number> {
    return this.#inOrder(async () => this.#disk.isDead ? await never() : this.#inode.content.length);
  }

  tryLock(): Promise<boolean> {
    return this.#inOrder(async () => {
      if (this.#disk.isDead) return await never();
      const holder = this.#inode.lockedBy;
      if (holder !== undefined && holder !== this) return false;
      this.#inode.lockedBy = this;
      return true;
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#last;
    this.#isClosed = true;
    if (this.#inode.lockedBy === this) this.#inode.lockedBy = undefined;
  }

  #inOrder<T>(operation: () => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new DiskError("EBADF", "use", this.path, "file is closed"));
    const result = this.#last.then(operation);
    this.#last = result.catch(() => {});
    return result;
  }

  #write(data: Uint8Array, position: number): Promise<void> {
    assert(this.#isWritable, `${this.path} was opened for writing`);
    // Taken when the operation takes effect: a caller that changes its buffer too early is found out.
    return this.#disk.perform("write", this.#name, ` [${position}, ${position + data.length})`, () => {
      const growth = Math.max(0, position + data.length - this.#inode.content.length);
      if (growth <= this.#disk.room) return this.#store(data, position);
      this.#storeSectors(data, position, data.length - growth + this.#disk.room);
      throw new DiskError("ENOSPC", "write", this.path, "no space left on device");
    }, () => this.#storeSectors(data, position, data.length >>> 1));
  }

  /** A write that comes to a stop, for want of room or by an error: the whole sectors of its first `size` bytes. */
  #storeSectors(data: Uint8Array, position: number, size: number): void {
    const whole = position + size - (position + size) % SECTOR_SIZE - position;
    if (whole > 0) this.#store(data.subarray(0, whole), position);
  }

  #sync(): Promise<void> {
    return this.#disk.perform("sync", this.#name, "", () => {
      // Not the content: what a failed sync has forgotten is in it and stays forgotten.
      makeDurable(this.#inode);
    }, () => this.#disk.forgetChanges(this.#inode));
  }

  #store(data: Uint8Array, position: number): void {
    const inode = this.#inode;
    if (position + data.length > inode.content.length) inode.content = resized(inode.content, position + data.length);
    inode.content.set(data, position);
    inode.changes.push({ kind: "write", position, data: data.slice() });
  }

  #resize(size: number): void {
    this.#inode.content = resized(this.#inode.content, size);
    this.#inode.changes.push({ kind: "resize", size });
  }
}

/** All that was written is on the disk. */
function makeDurable(inode: Inode): void {
  for (const change of inode.changes) {
    if (change.kind === "resize") inode.durable = resized(inode.durable, change.size);
    else {
      const end = change.position + change.data.length;
      if (end > inode.durable.length) inode.durable = resized(inode.durable, end);
      inode.durable.set(change.data, change.position);
    }
  }
  inode.changes = [];
}

/** What a file holds when of each sector written and each change of size since the last sync `survives` decides. */
function withChanges(inode: Inode, survives: () => boolean): Uint8Array {
  let size = inode.durable.length;
  let sizeMax = size;
  for (const change of inode.changes) {
    sizeMax = Math.max(sizeMax, change.kind === "resize" ? change.size : change.position + change.data.length);
  }
  const content = new Uint8Array(sizeMax);
  content.set(inode.durable);
  for (const change of inode.changes) {
    if (change.kind === "resize") {
      if (!survives()) continue;
      content.fill(0, change.size);
      size = change.size;
      continue;
    }
    const { position, data } = change;
    for (let start = 0; start < data.length;) {
      const end = Math.min(data.length, start + SECTOR_SIZE - (position + start) % SECTOR_SIZE);
      if (survives()) {
        content.set(data.subarray(start, end), position + start);
        size = Math.max(size, position + end);
      }
      start = end;
    }
  }
  return content.slice(0, size);
}

function resized(content: Uint8Array, size: number): Uint8Array {
  const copy = new Uint8Array(size);
  copy.set(content.subarray(0, Math.min(size, content.length)));
  return copy;
}

function split(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function never(): Promise<never> {
  return new Promise(() => {});
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}
