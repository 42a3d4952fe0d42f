/** Text forms, as etcd's raft prints them in logs, status and test scripts. */

import { jointText, majorityText } from "../quorum/mod.ts";
import type { ConfState } from "../types.ts";
import { type Progress, ProgressState } from "./progress.ts";
import type { ProgressTracker } from "./tracker.ts";

const STATE_TEXTS: Record<ProgressState, string> = {
  [ProgressState.PROBE]: "StateProbe",
  [ProgressState.REPLICATE]: "StateReplicate",
  [ProgressState.SNAPSHOT]: "StateSnapshot",
};

/** "voters=(1 2)&&(1) learners=(3) learners_next=(4) autoleave"; what is empty is left out. Lists ascend. */
export function configurationText(configuration: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  let text = `voters=${jointText(voters, votersOutgoing)}`;
  if (learners.length > 0) text += ` learners=${majorityText(learners)}`;
  if (learnersNext.length > 0) text += ` learners_next=${majorityText(learnersNext)}`;
  return autoLeave ? `${text} autoleave` : text;
}

/** "StateReplicate match=4 next=6 inflight=1", with a word for whatever is out of the ordinary. */
export function progressText(progress: Progress): string {
  let text = `${STATE_TEXTS[progress.state]} match=${progress.match} next=${progress.next}`;
  if (progress.isLearner) text += " learner";
  if (progress.isPaused) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.isRecentlyActive) text += " inactive";
  const { count, isFull } = progress.inflights;
  if (count > 0) text += ` inflight=${count}${isFull ? "[full]" : ""}`;
  return text;
}

/** A line per member, ascending by id. */
export function trackerText(tracker: ProgressTracker): string {
  return tracker.members.map((progress) => `${progress.id}: ${progressText(progress)}\n`).join("");
}
