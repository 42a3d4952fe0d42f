/** Runs the scripts of confchange/testdata. */

import { type ChangeResult, changeSimple, enterJoint, leaveJoint } from "../../../src/raft/conf_change/mod.ts";
import { configurationText, ProgressTracker, trackerText } from "../../../src/raft/tracker/mod.ts";
import { parseConfChanges } from "../../raft/conf_change/notation.ts";
import { type Directive, unknown } from "./script.ts";

/** A runner for the directives of one script. */
export function confChangeRunner(): (directive: Directive) => string {
  const tracker = new ProgressTracker({ inflightsMax: 10, inflightBytesMax: 0 });
  let lastIndex = 0;
  return (directive) => {
    const change = changeBy(directive, tracker);
    const index = lastIndex++;
    if (change.error !== undefined) return `${change.error}\n`;
    tracker.install(change, index);
    return `${configurationText(tracker.configuration)}\n${trackerText(tracker)}`;
  };
}

function changeBy(directive: Directive, { configuration }: ProgressTracker): ChangeResult {
  const changes = parseConfChanges(directive.input);
  switch (directive.command) {
    case "simple":
      rejectArguments(directive, []);
      return changeSimple(configuration, changes);
    case "enter-joint":
      rejectArguments(directive, ["autoleave"]);
      return enterJoint(configuration, directive.args.some(({ values }) => values[0] === "true"), changes);
    case "leave-joint":
      rejectArguments(directive, []);
      if (changes.length > 0) return { error: "this command takes no input" };
      return leaveJoint(configuration);
    default:
      throw unknown("command", directive);
  }
}

function rejectArguments(directive: Directive, known: readonly string[]): void {
  const other = directive.args.find(({ key }) => !known.includes(key));
  if (other !== undefined) throw unknown(`argument ${other.key}`, directive);
}
