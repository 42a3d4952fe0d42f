/** What a hundred seeds must have met, each this often: a simulation that stops testing something is found out. */

import type { Coverage } from "./world/coverage.ts";

/** In any hundred seeds; about a third of what is usual. */
const MINIMUMS: Readonly<Record<string, number>> = {
  // Faults.
  "faults: bad links": 50,
  "faults: clock rate": 15,
  "faults: disk error": 15,
  "faults: killed": 30,
  "faults: member cut off": 50,
  "faults: one-way cut": 40,
  "faults: partition": 50,
  "faults: pause": 50,
  "faults: power loss": 60,
  "faults: power loss at a disk operation": 60,
  "faults: power loss everywhere": 12,
  "faults: slow disk": 30,
  "faults: slow links": 30,
  "faults: stalled disk": 25,
  "faults: told to stop": 20,
  "faults: wall clock jump": 25,
  "disk operations failed": 15,
  "power gone at a disk operation": 50,
  "starts": 350,
  // The network.
  "faults: connections broken": 30,
  "faults: connections held up": 30,
  "faults: connections reset": 30,
  "network: connections broken within a write": 300,
  "network: connections given up": 100,
  "network: connections held up": 300,
  "network: connections not answered": 1200,
  "network: connections refused": 5000,
  "network: connections reset": 4000,
  "network: segments lost": 2000,
  "network: segments stalled": 8000,
  "log: lost TCP streaming connection with remote peer": 2000,
  // Strangers and mistakes.
  "faults: garbage": 12,
  "a stranger's message in another's name: 400": 250,
  "a stranger's message of another cluster: 412": 25,
  "a stranger's message without an end: lost": 6,
  "starts refused: empty volume": 15,
  "mounted: volume of another cluster": 10,
  // Raft and the membership.
  "elections won": 180,
  "pre-votes lost": 120,
  "leaders that stepped down": 80,
  "log: leadership transfer finished": 60,
  "membership changes in a log": 800,
  "members that joined": 35,
  "operator: promote": 12,
  "operator: remove": 20,
  "operator: update": 25,
  "log: rejected stream from remote peer because it was removed": 40,
  "log: this member was removed from the cluster and is stopping": 15,
  // Storage.
  "log: repaired": 2,
  "log: created a new WAL segment": 150,
  "log: purged": 60,
  "log: saved snapshot to disk (appended)": 500,
  "log: saved snapshot to disk (rewritten)": 50,
  "log: resume scheduled compaction": 35,
  "log: received and saved database snapshot": 30,
  "log: failed to send database snapshot": 3,
  "states installed": 25,
  // What only some members do.
  "log: finished peer corruption check": 200,
  "log: finished compaction hash check": 350,
  "log: initial corruption checking passed; no corruption": 25,
  "log: handing over leadership because the disk is stalled": 2,
  "lease checkpoints applied": 30,
  // Clients.
  "operations of unknown outcome": 800,
  "operations refused": 400,
  "compactions applied": 1000,
  "leases ended": 500,
  "watchers that start in the past": 700,
  "watch responses: compacted": 100,
  "watch responses: progress": 700,
  // What the checkers found to judge.
  "judged: leases: expiries": 400,
  "judged: leases: expiries judged late or not": 150,
  "judged: leases: keys attached": 350,
  "judged: linearizability: operations": 7000,
  "judged: log matching: entries seen in two logs": 25_000,
  "judged: revisions: old reads": 1000,
  "judged: revisions: outcomes resolved": 140,
  "judged: state hash: hashes of two members": 600,
  "judged: watches: events": 7000,
  "judged: watches: resumptions": 600,
};

/** Fewer seeds than that say nothing. */
const SEEDS_MIN = 100;

/** What was met too seldom, as texts. */
export function checkMinimums(coverage: Coverage, seedCount: number): string[] {
  if (seedCount < SEEDS_MIN) return [];
  const missing: string[] = [];
  for (const [name, minimum] of Object.entries(MINIMUMS)) {
    const needed = Math.floor(minimum * seedCount / SEEDS_MIN);
    const count = coverage.counts.get(name) ?? 0;
    if (count < needed) missing.push(`${name}: ${count}, at least ${needed} in ${seedCount} seeds`);
  }
  return missing;
}
