/**
 * Members that have executed the same entries hold the same state: hashes of one kind at one applied index are equal. In
 * the end, when the world is at rest, all members have executed everything.
 */

import type { Observations, StateHash } from "../observations.ts";
import { History } from "./history.ts";
import { Findings, type Report } from "./report.ts";

export function checkStateHashes({ hashes, applied, end }: Observations, { last } = new History(applied)): Report {
  const findings = new Findings("hashes", "hashes of two members", "members in the end");
  const firsts = new Map<string, StateHash>();
  for (const hash of hashes) {
    findings.judge("hashes");
    const key = `${hash.kind}.${hash.applied}`;
    const first = firsts.get(key);
    if (first === undefined) {
      firsts.set(key, hash);
      continue;
    }
    if (first.member !== hash.member) findings.judge("hashes of two members");
    if (first.hash === hash.hash) continue;
    findings.violation(
      `after entry ${hash.applied} the ${hash.kind} hash of member ${hash.member} is ${hash.hash}, ` +
        `that of member ${first.member} ${first.hash}`,
    );
  }
  for (const { id, revision } of end.members) {
    findings.judge("members in the end");
    if (revision !== last) findings.violation(`member ${id} ended at revision ${revision}, the cluster at ${last}`);
  }
  return findings.finish();
}
