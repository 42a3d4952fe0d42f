/** The commands of the text tests: one member's log on a simulated disk, seen through the operations it makes. */

import type { Logger } from "../../../src/io/log.ts";
import { silentLogger } from "../../../src/io/log.ts";
import type { Entry, HardState } from "../../../src/raft/mod.ts";
import { DataDirectory } from "../../../src/storage/data_directory.ts";
import { Wal } from "../../../src/storage/wal/mod.ts";
import type { Command } from "../../harness/datadriven.ts";
import { type Fault, type Operation, type OperationKind, SimulatedDisk } from "../../harness/simulated_disk.ts";
import { stoppedClock } from "./lifetimes.ts";

const MEMBER_ID = 0x8e9e05c52164694dn;
const CLUSTER_ID = 0xcdf818194e3a8c32n;

export class WalScript {
  #disk = this.#newDisk(1);
  #wal: Wal | undefined;
  #directory: DataDirectory | undefined;
  #lastIndex = 0;
  #state: HardState = { term: 1, vote: MEMBER_ID, commit: 0 };
  /** The next operation of this kind on a path that ends so meets this fault. */
  #fault: { readonly kind: OperationKind; readonly suffix: string; readonly fault: Fault } | undefined;
  #messages: string[] = [];
  #backup = new Map<string, Uint8Array>();
  readonly #log: Logger;

  constructor() {
    const say = (level: string) => (message: string, fields?: Record<string, unknown>) => {
      const text = Object.entries(fields ?? {}).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`).join("");
      this.#messages.push(`${level} ${message}${text}`);
    };
    this.#log = { ...silentLogger, info: say("info"), warn: say("warn"), error: say("error") };
  }

  /** Runs a command; the output is the operations on the disk, the log's messages, and what became of it. */
  async run(command: Command): Promise<string> {
    const from = this.#disk.trace.length;
    this.#messages = [];
    const disk = this.#disk;
    let outcome = "";
    try {
      const done = this.#execute(command);
      outcome = await Promise.race([done, disk.crashed.then(() => done), this.#died(disk)]);
    } catch (error) {
      outcome = String(error);
    }
    // What goes on in the background, the preallocation of the next segment, comes to its end.
    for (let turn = 0; turn < 200; turn++) await undefined;
    const trace = disk === this.#disk ? this.#disk.trace.slice(from) : [];
    return [...trace, ...this.#messages, ...(outcome === "" ? [] : [outcome])].join("\n");
  }

  async #died(disk: SimulatedDisk): Promise<string> {
    await disk.crashed;
    return "the power fails";
  }

  #newDisk(seed: number): SimulatedDisk {
    return new SimulatedDisk(this.#diskOptions(seed));
  }

  #diskOptions(seed: number) {
    return {
      seed,
      fault: ({ kind, path }: Operation): Fault | undefined => {
        const planned = this.#fault;
        if (planned === undefined || planned.kind !== kind || !path.endsWith(planned.suffix)) return undefined;
        this.#fault = undefined;
        return planned.fault;
      },
    };
  }

  async #execute({ name, words, values }: Command): Promise<string> {
    switch (name) {
      case "start":
        return await this.#start(values);
      case "append":
        return await this.#append(values);
      case "commit":
        this.#state = { ...this.#state, commit: Number(words[0]) };
        await this.#wal!.append(this.#state, [], false);
        return "";
      case "snapshot": {
        const confState = { voters: [MEMBER_ID], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
        await this.#wal!.saveSnapshot({ index: Number(words[0]), term: 1, confState });
        return "";
      }
      case "release":
        await this.#wal!.releaseTo(Number(words[0]));
        return "";
      case "close":
        await this.#wal!.close();
        await this.#directory!.close();
        return "";
      case "kill":
        this.#disk = this.#disk.kill(this.#diskOptions(1));
        return "";
      case "power-loss":
        this.#disk = this.#disk.crash(this.#diskOptions(1), Number(values.get("survival")));
        return "";
      case "fault":
        this.#fault = { kind: words[0] as OperationKind, suffix: words[1], fault: parseFault(words[2]) };
        return "";
      case "room":
        this.#disk.capacity = this.#used() + Number(words[0]);
        return "";
      case "zero":
      case "flip":
        return this.#damage(name, words[0], Number(values.get("at")), Number(values.get("size") ?? 1));
      case "backup":
        this.#backup = this.#disk.contents();
        return "";
      case "restore":
        this.#disk = this.#newDisk(1);
        for (const [path, content] of this.#backup) if (!path.endsWith("/")) this.#disk.place(path, content);
        return "";
      case "remove":
        await this.#disk.remove(`data/member/wal/${words[0]}`);
        return "";
      case "files":
        return this.#files();
      default:
        throw new Error(`unknown command ${name}`);
    }
  }

  async #start(values: ReadonlyMap<string, string>): Promise<string> {
    const log = this.#log;
    const directory = this.#directory = await DataDirectory.open(this.#disk, { path: "data", walPath: "", log });
    const options = { directory: directory.walPath, clock: stoppedClock, log, segmentSize: 4096 };
    try {
      if (!directory.hasWal) {
        const metadata = { memberId: MEMBER_ID, clusterId: CLUSTER_ID };
        this.#wal = await Wal.create(this.#disk, { ...options, metadata });
        return "created";
      }
      const from = { index: Number(values.get("from") ?? 0), term: values.has("from") ? 1 : 0 };
      const committed: Entry[] = [];
      const visitor = { metadata() {}, entry: (entry: Entry) => committed.push(entry) };
      const opened = await Wal.open(this.#disk, { ...options, from }, visitor);
      this.#wal = opened.wal;
      this.#lastIndex = opened.lastIndex;
      if (opened.hardState.term > 0) this.#state = opened.hardState;
      const { term, commit } = opened.hardState;
      return `opened: committed ${range(committed)}, tail ${range(opened.tail)}, term ${term}, commit ${commit}`;
    } catch (error) {
      await directory.close();
      throw error;
    }
  }

  async #append(values: ReadonlyMap<string, string>): Promise<string> {
    const sizes = (values.get("sizes") ?? "").split(",").filter((size) => size !== "").map(Number);
    const { term } = this.#state;
    const first = Number(values.get("from") ?? this.#lastIndex + 1);
    const entries = sizes.map((size, i): Entry => {
      return { term, index: first + i, type: 0, data: new Uint8Array(size).fill(first + i) };
    });
    if (values.has("commit")) this.#state = { ...this.#state, commit: Number(values.get("commit")) };
    await this.#wal!.append(values.has("commit") ? this.#state : undefined, entries, true);
    if (entries.length > 0) this.#lastIndex = first + entries.length - 1;
    return "";
  }

  /** Writes over bytes of a segment behind the disk's back. */
  #damage(kind: string, name: string, at: number, size: number): string {
    const path = `data/member/wal/${name}`;
    const content = this.#disk.contents().get(path)!.slice();
    for (let i = at; i < at + size; i++) content[i] = kind === "zero" ? 0 : content[i] ^ 1;
    this.#disk.place(path, content);
    return "";
  }

  #used(): number {
    let used = 0;
    for (const content of this.#disk.contents().values()) used += content.length;
    return used;
  }

  #files(): string {
    const lines: string[] = [];
    for (const [path, content] of this.#disk.contents()) {
      if (path.endsWith("/")) continue;
      const end = content.findLastIndex((byte) => byte !== 0) + 1;
      lines.push(`${path} ${content.length} bytes, data until ${end}`);
    }
    return lines.join("\n");
  }
}

function parseFault(text: string): Fault {
  return text === "crash-before" || text === "crash-after" ? text : { fail: text };
}

function range(entries: readonly Entry[]): string {
  return entries.length === 0 ? "none" : `${entries[0].index}..${entries[entries.length - 1].index}`;
}
