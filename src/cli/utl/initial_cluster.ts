/** The cluster that a restored member is to belong to, from flags, checked as etcdutl does. */

import { silentLogger } from "../../io/log.ts";
import { systemClock, systemNetwork } from "../../io/system/mod.ts";
import { type InitialMember, PeerUrlComparison } from "../../member/mod.ts";
import { parseUrls } from "../../membership/mod.ts";
import { CommandError, ExitCode } from "../command_line/mod.ts";
import { advertisedProblem, duplicateProblem, nameProblem, readInitialMembers } from "../initial_members.ts";

/** Rejects with a CommandError with etcdutl's text. A name that cannot be resolved is not tried again. */
export async function readInitialCluster(
  name: string,
  initialCluster: string,
  advertisedUrls: string,
): Promise<readonly InitialMember[]> {
  const advertised = read(() => parseUrls(advertisedUrls.split(","))).map((url) => url.text);
  const members = read(() => readInitialMembers(initialCluster));
  const comparison = new PeerUrlComparison({ clock: systemClock, log: silentLogger, network: systemNetwork }, 0);
  const problem = nameProblem(name, members) ?? await advertisedProblem(name, advertised, members, comparison) ??
    duplicateProblem(members);
  if (problem !== undefined) throw new CommandError(ExitCode.ERROR, problem);
  return members;
}

function read<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new CommandError(ExitCode.ERROR, (error as Error).message);
  }
}
