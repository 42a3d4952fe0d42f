/**
 * Election safety (Raft, figure 3): a term has at most one leader. And what it rests on, as far as it shows from outside:
 * in the life of a process the term never falls and a vote, once given in a term, stays.
 */

import type { Observations, RaftRecord } from "../observations.ts";
import { Findings, type Report } from "./report.ts";

export function checkLeaders({ raft }: Observations): Report {
  const findings = new Findings("records", "terms with a leader");
  const leaders = new Map<number, bigint>();
  const lasts = new Map<bigint, RaftRecord>();
  for (const record of raft) {
    const { member, term, role, vote } = record;
    findings.judge("records");
    if (role === "leader") {
      const other = leaders.get(term);
      if (other === undefined) {
        leaders.set(term, member);
        findings.judge("terms with a leader");
      } else if (other !== member) findings.violation(`term ${term} has two leaders, ${other} and ${member}`);
    }
    const last = lasts.get(member);
    lasts.set(member, record);
    if (last === undefined || record.isStart) continue;
    if (term < last.term) findings.violation(`member ${member} went back from term ${last.term} to ${term}`);
    else if (term === last.term && last.vote !== 0n && vote !== last.vote) {
      findings.violation(`member ${member} changed its vote of term ${term} from ${last.vote} to ${vote}`);
    }
  }
  return findings.finish();
}
