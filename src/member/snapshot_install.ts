import { formatDuration } from "../base/duration.ts";
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import { Keyspace } from "../keyspace/mod.ts";
import { Membership } from "../membership/mod.ts";
import type { CompactionJob } from "../mvcc/mod.ts";
import type { Snapshot } from "../raft/mod.ts";
import { WriteGivenUp } from "../storage/database.ts";
import { DataDirectoryError } from "../storage/data_directory.ts";
import type { DataDirectory } from "../storage/data_directory.ts";
import type { Checkpointer } from "./checkpointer.ts";
import { checkpointState } from "./database_start.ts";
import { readMeta, restoreState } from "./restore.ts";

export interface SnapshotInstallParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly directory: DataDirectory;
  readonly checkpointer: Checkpointer;
  readonly keyspace: Keyspace;
  readonly membership: Membership;
  /** An empty one, made as this member's. */
  readonly newKeyspace: () => Keyspace;
  readonly newMembership: () => Membership;
  /** The state has been replaced; a compaction may have been scheduled in it. */
  readonly onInstalled: (compaction: CompactionJob | undefined) => void;
}

/**
 * Puts a received state in the place of this member's: first the file, then what it holds. That is read beside the
 * present state, which goes on answering reads at revisions that it knows until the other takes over in one turn.
 */
export class SnapshotInstall {
  readonly #parts: SnapshotInstallParts;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(parts: SnapshotInstallParts) {
    this.#parts = parts;
  }

  /** Rejects if the file cannot be read or put in its place: the log counts on it already. */
  install(snapshot: Snapshot): Promise<void> {
    const running = this.#install(snapshot);
    this.#running = running.catch(() => {});
    return running;
  }

  /** Gives up; resolves when nothing is read any more. The next start finds the file. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #install({ index }: Snapshot): Promise<void> {
    const { clock, log, directory, checkpointer, keyspace, membership } = this.#parts;
    const startMs = clock.monotonicMs();
    log.info("applying snapshot", { "incoming-leader-snapshot-index": index });
    await checkpointer.giveWay();
    this.#checkGoesOn();
    const { database, snapshots } = directory;
    const name = await snapshots.receivedDatabase(index);
    if (name === undefined) throw new DataDirectoryError(`the database received for the snapshot at ${index} is gone`);
    await database.replaceBy(name);
    const found = await database.read();
    if (found === undefined) throw new DataDirectoryError(`${database.path} is empty`);
    const meta = await readMeta(found);
    const target = { keyspace: this.#parts.newKeyspace(), membership: this.#parts.newMembership(), log };
    const { storedSize, compaction } = await restoreState(found, meta, target, () => this.#turn());
    this.#checkGoesOn();
    membership.restore(target.membership.records());
    keyspace.replaceBy(target.keyspace);
    checkpointer.takeState(checkpointState({ keyspace, membership }, meta, index, storedSize));
    log.info("applied snapshot", {
      "incoming-leader-snapshot-index": index,
      "current-rev": keyspace.store.revision,
      "took": formatDuration(clock.monotonicMs() - startMs),
    });
    this.#parts.onInstalled(compaction);
  }

  #turn(): Promise<void> {
    this.#checkGoesOn();
    return new Promise((resolve) => this.#parts.clock.defer(resolve));
  }

  #checkGoesOn(): void {
    if (this.#isStopped) throw new WriteGivenUp("the member is being stopped");
  }
}
