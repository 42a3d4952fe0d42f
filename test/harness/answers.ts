/** What other members answer, by URL, to one that asks before it takes part in a cluster. */
import { utf8 } from "../../src/base/bytes.ts";
import { type Member, membersJson } from "../../src/membership/mod.ts";
import type { Answer, AskUrl } from "../../src/peer/mod.ts";

/** A member that runs: whom it knows, and which version the cluster agreed on. */
export interface RunningMember {
  readonly clusterId: bigint;
  readonly members: readonly Member[];
  readonly clusterVersion?: string;
  readonly isDowngrading?: boolean;
}

/** Those that have no entry do not answer. */
export function askThese(running: Readonly<Record<string, RunningMember>>): AskUrl {
  return (url, { path }) => {
    const member = running[url];
    if (member === undefined) return Promise.resolve(undefined);
    const { clusterId, members, clusterVersion = "3.7.0", isDowngrading = false } = member;
    const bodies: Record<string, string> = {
      "/members": membersJson(members),
      "/version": JSON.stringify({ etcdserver: "3.7.1", etcdcluster: clusterVersion, storage: clusterVersion }),
      "/downgrade/enabled": String(isDowngrading),
    };
    const answer: Answer = { status: 200, contentType: "", body: utf8(bodies[path] ?? ""), clusterId };
    return Promise.resolve(answer);
  };
}
