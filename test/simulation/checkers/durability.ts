/**
 * What a single member has acknowledged survives: whenever it comes up again, its store is at no lower revision than any
 * client had been told of, and what it executes again is what it executed (`checkHistory`).
 */

import type { Observations } from "../observations.ts";
import { Findings, type Report } from "./report.ts";

export function checkDurability({ operations, starts }: Observations): Report {
  const findings = new Findings("starts", "acknowledged writes before a start");
  for (const { member, moment, isAlone, revision } of starts) {
    // In a cluster the member that starts may rightly be behind.
    if (!isAlone) continue;
    findings.judge("starts");
    for (const { client, outcome } of operations) {
      if (outcome.kind !== "answered" || outcome.returned > moment) continue;
      findings.judge("acknowledged writes before a start");
      if (outcome.response.revision <= revision) continue;
      findings.violation(
        `member ${member} came up at revision ${revision}, but had told client ${client} of revision ${outcome.response.revision}`,
      );
    }
  }
  return findings.finish();
}
