/** The seeded bugs: exact replacements in the sources. One that no longer applies has to follow what it was made for. */

export interface Mutation {
  readonly name: string;
  readonly replacements: readonly Replacement[];
}

export interface Replacement {
  readonly file: string;
  /** Occurs once in the file. */
  readonly before: string;
  readonly after: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "skip-fsync",
    replacements: [{
      file: "src/storage/wal/wal.ts",
      before: "await this.#timed(file.writeDurable(rest, this.#offset + start));",
      after: "await this.#timed(file.write(rest, this.#offset + start));",
    }],
  },
  {
    name: "acknowledge-early",
    replacements: [{
      file: "src/member/loop.ts",
      before: "    this.#parts.wal.append(append.hardState, append.entries, append.mustSync).then(\n",
      after: "    const early = append.responses;\n    append.responses = [];\n    this.#deliver(early);\n" +
        "    this.#parts.wal.append(append.hardState, append.entries, append.mustSync).then(\n",
    }],
  },
  {
    name: "read-without-read-index",
    replacements: [{
      file: "src/member/member.ts",
      before: "    if (this.isReadable) read(undefined);\n",
      after: "    if (this.raftStatus.leader !== 0n) read(undefined);\n",
    }],
  },
  {
    name: "apply-twice",
    replacements: [{
      file: "src/member/bootstrap.ts",
      before: "    if (entry.index <= this.#appliedIndex) return;\n",
      after: "    if (entry.index < this.#appliedIndex) return;\n",
    }],
  },
  {
    name: "forget-vote",
    replacements: [{
      file: "src/storage/wal/record.ts",
      before: "    size = writeVarint64(data, size, state.vote);\n",
      after: "    size = writeVarint64(data, size, 0n);\n",
    }],
  },
  {
    name: "ignore-conf-change",
    replacements: [{
      file: "src/member/member.ts",
      before: 'raft.applyConfChange({ type: applied.type as ConfChange["type"], memberId: applied.memberId });',
      // Only removals.
      after: 'raft.applyConfChange({ type: applied.type as ConfChange["type"], ' +
        "memberId: applied.type === 1 ? 0n : applied.memberId });",
    }],
  },
  {
    name: "reuse-slab-early",
    replacements: [{
      file: "src/mvcc/slab.ts",
      before: "    if (this.#dead[number] !== this.#used[number]) return;\n",
      after: "    if (this.#dead[number] * 2 < this.#used[number]) return;\n",
    }],
  },
  {
    name: "drop-event-at-catch-up",
    replacements: [{
      file: "src/watch/catch_up.ts",
      before: "main < interest.sweepMinRevision) continue;",
      after: "main <= interest.sweepMinRevision) continue;",
    }],
  },
  {
    name: "extend-lease-twice",
    replacements: [{
      file: "src/lease/schedule.ts",
      before: "    const expiryMs = now + extendMs + lease.refreshTtl * 1000;\n",
      after: "    const expiryMs = now + extendMs + 2 * lease.refreshTtl * 1000;\n",
    }],
  },
  {
    name: "skip-checkpoint-fsync",
    replacements: [{
      file: "src/storage/bolt/writer.ts",
      before: "    await file.write(area, position);\n    await file.syncData();\n",
      after: "    await file.write(area, position);\n",
    }],
  },
  {
    name: "skip-directory-fsync",
    replacements: [{
      file: "src/storage/wal/wal.ts",
      before: "    await this.#timed(this.#disk.syncDirectory(directory));\n",
      after: "",
    }],
  },
];
