import { EMPTY_BYTES, utf8, utf8Text } from "../../src/base/bytes.ts";
import { NO_ROW, RECORD_FULL, type RecordForm, RecordView, Store } from "../../src/mvcc/mod.ts";
import { type Command, runScript } from "../harness/datadriven.ts";
import { ALL, finishHash, query } from "./support.ts";

/** Stores and what is said to them, as text: see generations.txt for the commands. */
class Script {
  #store = new Store();
  readonly #view = new RecordView();

  run(command: Command): string {
    switch (command.name) {
      case "new":
        this.#store = new Store();
        return "";
      case "txn":
        return this.#transaction(command.words);
      case "range":
        return this.#range(command);
      case "compact":
        return this.#compact(Number(command.words[0]));
      case "hash":
        return this.#hash(Number(command.words[0]));
      case "history":
        return this.#history();
      default:
        throw new Error(`unknown command ${command.name}`);
    }
  }

  #transaction(words: readonly string[]): string {
    const transaction = this.#store.beginWrite();
    for (const word of words) {
      const [kind, key, second, lease] = word.split(":");
      if (kind === "put") transaction.put(utf8(key), utf8(second ?? ""), BigInt(lease ?? 0));
      else while (!transaction.deleteRange(utf8(key), endOf(second)).step(100));
    }
    transaction.commit();
    return `revision ${this.#store.revision}`;
  }

  #range({ words, values }: Command): string {
    const number = (name: string) => Number(values.get(name) ?? 0);
    const job = this.#store.openRange(query({
      key: words[0] === "all" ? ALL : utf8(words[0]),
      rangeEnd: words[0] === "all" ? ALL : endOf(words[1]),
      revision: number("revision"),
      limit: number("limit"),
      sortOrder: ["none", "ascend", "descend"].indexOf(values.get("order") ?? "none"),
      sortTarget: ["key", "version", "create", "mod", "value"].indexOf(values.get("by") ?? "key"),
      keysOnly: values.get("only") === "keys",
      countOnly: values.get("only") === "count",
      minModRevision: number("min-mod"),
      maxModRevision: number("max-mod"),
      minCreateRevision: number("min-create"),
      maxCreateRevision: number("max-create"),
    }));
    if (typeof job === "string") return job;
    while (job.step(1) === "running");
    let text = `count ${job.count}${job.more ? ", more" : ""}\n`;
    for (let i = 0; i < job.rowCount; i++) text += this.#record(job.row(i), job.form) + "\n";
    job.close();
    return text;
  }

  #record(row: number, form: RecordForm = RECORD_FULL): string {
    const view = this.#view;
    const record = new Uint8Array(this.#store.recordSize(row, form));
    this.#store.copyRecord(row, form, record, 0);
    view.read(record, 0);
    const lease = view.lease === 0n ? "" : ` lease ${view.lease}`;
    return `${utf8Text(view.key())}=${
      utf8Text(view.value())
    } create ${view.createRevision} mod ${view.modRevision} version ${view.version}${lease}`;
  }

  #compact(revision: number): string {
    const job = this.#store.compact(revision);
    if (typeof job === "string") return job;
    while (job.step(1) !== "done");
    return `removed ${job.removedCount}, ${this.#store.sizes().indexedCount} keys in the index`;
  }

  #hash(revision: number): string {
    const job = this.#store.hashKv(revision);
    if (typeof job === "string") return job;
    const { hash, hashRevision, compactRevision } = finishHash(job, 1);
    return `${hash} revision ${hashRevision} compact revision ${compactRevision}`;
  }

  #history(): string {
    const store = this.#store;
    let text = "";
    for (let row = store.rowAtOrAfter(0); row < store.endRow; row = store.nextRow(row)) {
      const before = store.previousKvRow(row);
      text += `${store.rowMain(row)}.${store.rowSub(row)} ${
        store.isTombstone(row) ? `delete ${utf8Text(store.key(row))}` : this.#record(row)
      }${before === NO_ROW ? "" : ` (before: ${store.rowMain(before)})`}\n`;
    }
    return text;
  }
}

function endOf(word: string | undefined): Uint8Array {
  return word === undefined ? EMPTY_BYTES : word === "..." ? ALL : utf8(word);
}

for (const name of ["generations", "ranges"]) {
  const script = new Script();
  runScript(new URL(`${name}.txt`, import.meta.url), (command) => script.run(command));
}
