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
  "messages doubled": 600,
  "messages lost": 1200,
  "messages cut off": 7000,
  "starts": 350,
  // Raft and the membership.
  "elections won": 180,
  "pre-votes lost": 120,
  "leaders that stepped down": 80,
  "log: leadership transfer finished": 60,
  "membership changes in a log": 800,
  "members that joined": 35,
  "operator: promote": 12,
  "operator: remove": 20,
  "messages from removed members": 100,
  "log: this member was removed from the cluster and is stopping": 15,
  // Storage.
  "log: repaired": 2,
  "log: created a new WAL segment": 150,
  "log: purged": 60,
  "log: saved snapshot to disk (appended)": 500,
  "log: saved snapshot to disk (rewritten)": 50,
  "log: resume scheduled compaction": 150,
  "snapshots sent": 30,
  "snapshots received": 30,
  "states installed": 25,
  "snapshots broken off": 1,
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
