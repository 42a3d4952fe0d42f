/**
 * Raft alone, in memory: `bun test/bench/raft.bench.ts [entries]`. One entry's whole way (propose, append, replicate,
 * acknowledge, commit, hand out, report applied), in batches of 64, in groups of different sizes. Prints one line per
 * figure: the median and the best of ten parts, since other processes share the machine.
 */
import { EMPTY_CONF_STATE, type Message, Raft, RaftLog } from "../../src/raft/mod.ts";

const count = Number(process.argv[2] ?? 640_000);
const PARTS = 10;
const LOG_KEPT = 5000;
const data = new Uint8Array(256).fill(120);

function makeGroup(size: number): Raft[] {
  const voters = Array.from({ length: size }, (_, i) => 0x8e9e05c52164694dn + BigInt(i));
  const group = voters.map((id) =>
    new Raft({
      id,
      log: new RaftLog(),
      hardState: { term: 0, vote: 0n, commit: 0 },
      confState: { ...EMPTY_CONF_STATE, voters },
      applied: 0,
      random: () => 0,
      electionTicks: 10,
      preVote: true,
      checkQuorum: true,
      committedSizeMax: 16 << 20,
    })
  );
  group[0].campaign();
  settle(group);
  if (group[0].role !== "leader") throw new Error("the first member does not lead");
  return group;
}

/** Carries out every Ready at once, as a disk and a network without delay would, until there is none. */
function settle(group: Raft[]): void {
  for (let isBusy = true; isBusy;) {
    isBusy = false;
    for (let i = 0; i < group.length; i++) {
      if (!group[i].hasReady) continue;
      carryOut(group, group[i]);
      isBusy = true;
    }
  }
}

function carryOut(group: Raft[], raft: Raft): void {
  const { messages, appendResponses, committedEntries } = raft.ready();
  deliver(group, messages);
  deliver(group, appendResponses);
  if (committedEntries.length > 0) raft.applied(committedEntries[committedEntries.length - 1].index);
  if (raft.appliedIndex - raft.log.offset > 2 * LOG_KEPT) raft.log.compact(raft.appliedIndex - LOG_KEPT);
}

function deliver(group: Raft[], messages: readonly Message[]): void {
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i];
    for (let j = 0; j < group.length; j++) if (group[j].id === message.to) group[j].step(message);
  }
}

function measure(name: string, group: Raft[], batch: number): void {
  const each: number[] = [];
  const rounds = Math.ceil(count / PARTS / batch);
  for (let part = 0; part < PARTS; part++) {
    const start = performance.now();
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < batch; i++) group[0].propose(data);
      settle(group);
    }
    each.push((performance.now() - start) / (rounds * batch) * 1000);
  }
  for (const raft of group) {
    if (raft.appliedIndex !== group[0].log.lastIndex) throw new Error("a member has not applied everything");
  }
  each.sort((a, b) => a - b);
  console.log(`${name.padEnd(44)} ${each[PARTS / 2].toFixed(2)} (best ${each[0].toFixed(2)}) us per entry`);
}

for (const size of (process.argv[3] ?? "1 3 5").split(" ").map(Number)) {
  for (const batch of [1, 64]) {
    measure(`${size} member${size === 1 ? "" : "s"}, batches of ${batch}`, makeGroup(size), batch);
  }
}
