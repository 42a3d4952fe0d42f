/** The seeded bugs: exact replacements in the sources. One that no longer applies has to follow what it was made for. */

export interface Mutation {
  readonly name: string;
  readonly replacements: readonly Replacement[];
  /** Of one that few seeds find: a little before the one that did. Default: 1. */
  readonly firstSeed?: number;
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
    firstSeed: 340,
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
  {
    name: "send-proposal-again",
    replacements: [
      {
        file: "src/peer/peer.ts",
        before: "  #isDropping = false;\n\n  constructor(",
        after: "  #isDropping = false;\n  #last: Message | undefined;\n\n  constructor(",
      },
      {
        file: "src/peer/peer.ts",
        before: "    let isSent: boolean;\n",
        after: "    if (message.type === MessageType.PROPOSAL) this.#last = message;\n    let isSent: boolean;\n",
      },
      {
        file: "src/peer/peer.ts",
        before: ".attach(exchange, version);\n",
        after: ".attach(exchange, version);\n    if (this.#last !== undefined) this.send(this.#last);\n",
      },
    ],
  },
  {
    name: "believe-any-sender",
    replacements: [{
      file: "src/peer/admission.ts",
      before: "  return from === sender || ",
      after: "  return from !== NO_MEMBER || ",
    }],
  },
  {
    name: "serve-any-cluster",
    replacements: [{
      file: "src/peer/identity.ts",
      before: "  return fieldValue(fields, CLUSTER_ID_FIELD) === idText(identity.clusterId) ? ",
      after: "  return fieldValue(fields, CLUSTER_ID_FIELD) !== undefined ? ",
    }],
  },
  {
    name: "keep-append-stream-state",
    firstSeed: 410,
    replacements: [{
      file: "src/peer/stream_writer.ts",
      before: "    this.#encoder = this.#kind.encoder();\n    exchange.onDrain(",
      after: "    exchange.onDrain(",
    }],
  },
  {
    name: "receive-database-without-fsync",
    replacements: [{
      file: "src/storage/snapshot_directory.ts",
      before: "        await file.syncData();\n        await check(file);\n",
      after: "        await check(file);\n",
    }],
  },
  {
    name: "come-back-without-a-log",
    replacements: [{
      file: "src/member/joining.ts",
      before: "  if (known === undefined || known.clientUrls.length === 0) return;\n",
      after: "  if (known === undefined || known.clientUrls.length >= 0) return;\n",
    }],
  },
];
