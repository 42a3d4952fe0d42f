/**
 * Log matching (Raft, figure 3): where two logs have an entry of the same index and term, they are equal up to it. It holds
 * if every such pair has the same contents and the same term before it, which is what is checked, entry by entry as they
 * are appended. Also here: a leader never overwrites its own log.
 */

import type { LogEntry, Observations, RaftRecord } from "../observations.ts";
import { RaftMirror } from "./raft_mirror.ts";
import { Findings, type Report } from "./report.ts";

interface Seen {
  readonly digest: number;
  /** The term of the entry before; undefined where no log that was seen had it. */
  previousTerm: number | undefined;
  readonly member: bigint;
}

export function checkLogMatching({ raft }: Observations): Report {
  const findings = new Findings("entries", "entries seen in two logs");
  const mirrors = new Map<bigint, RaftMirror>();
  const lasts = new Map<bigint, RaftRecord>();
  const seen = new Map<string, Seen>();

  const visit = (record: RaftRecord, mirror: RaftMirror, { index, term, digest }: LogEntry): void => {
    findings.judge("entries");
    const previousTerm = mirror.term(index - 1);
    const other = seen.get(`${index}.${term}`);
    if (other === undefined) {
      seen.set(`${index}.${term}`, { digest, previousTerm, member: record.member });
      return;
    }
    if (other.member !== record.member) findings.judge("entries seen in two logs");
    const where = `entry ${index} of term ${term} at member ${record.member}`;
    if (other.digest !== digest) findings.violation(`${where} is not the one at member ${other.member}`);
    if (other.previousTerm !== previousTerm) {
      findings.violation(`${where} follows term ${previousTerm}, at member ${other.member} term ${other.previousTerm}`);
    }
  };

  for (const record of raft) {
    const { member } = record;
    const mirror = mirrors.get(member) ?? new RaftMirror();
    mirrors.set(member, mirror);
    const last = lasts.get(member);
    lasts.set(member, record);
    const isSameLeader = !record.isStart && last?.role === "leader" && record.role === "leader" &&
      last.term === record.term;
    const { lastIndex } = mirror;
    if (isSameLeader && record.entries.length > 0 && record.entries[0].index <= lastIndex) {
      findings.violation(
        `member ${member}, leader of term ${record.term}, overwrote entry ${record.entries[0].index} of its own log`,
      );
    }
    const wrong = mirror.apply(record, (entry) => visit(record, mirror, entry));
    if (wrong !== undefined) findings.violation(`member ${member}: ${wrong}`);
  }
  return findings.finish();
}
