/** Runs the scripts of quorum/testdata. */

import {
  acknowledgementsText,
  indexText,
  jointCommittedIndex,
  type JointQuorum,
  jointVoteResult,
  majorityCommittedIndex,
  majorityVoteResult,
  Vote,
  voteResultText,
} from "../../../src/raft/quorum/mod.ts";
import { type Directive, unknown } from "./script.ts";

interface Case {
  /** All voters in the order in which they are named, without repetition: the position is the slot. */
  readonly ids: bigint[];
  readonly quorum: JointQuorum;
  readonly isJoint: boolean;
  /** One word per slot. */
  readonly words: string[];
}

/** Answers one directive; they do not depend on each other. */
export function runQuorumDirective(directive: Directive): string {
  const given = readCase(directive);
  if (given.words.length !== given.ids.length) {
    return `error: mismatched input (explicit or _) for voters ${given.ids.join(" ")}: ${given.words.join(" ")}`;
  }
  if (directive.command === "committed") return committed(given);
  if (directive.command === "vote") return vote(given, directive);
  throw unknown("command", directive);
}

function readCase(directive: Directive): Case {
  const incoming: bigint[] = [];
  const outgoing: bigint[] = [];
  const words: string[] = [];
  let isJoint = false;
  for (const { key, values } of directive.args) {
    if (key === "cfg") incoming.push(...values.map(BigInt));
    else if (key === "cfgj") {
      isJoint = true;
      if (values[0] !== "zero") outgoing.push(...values.map(BigInt));
    } else if (key === (directive.command === "vote" ? "votes" : "idx")) words.push(...values);
    else throw unknown(`argument ${key}`, directive);
  }
  const ids = [...new Set([...incoming, ...outgoing])];
  const slots = (voters: bigint[]) => voters.map((id) => ids.indexOf(id));
  return { ids, quorum: { incoming: slots(incoming), outgoing: slots(outgoing) }, isJoint, words };
}

function committed({ ids, quorum, isJoint, words }: Case): string {
  const known = words.map((word) => word === "_" ? undefined : Number(word));
  const indexes = known.map((index) => index ?? 0);
  const { incoming, outgoing } = quorum;
  const order = ids.map((_, slot) => slot).sort((a, b) => ids[a] < ids[b] ? -1 : 1);
  let text = acknowledgementsText(order.map((slot) => ids[slot]), order.map((slot) => known[slot]));
  const index = isJoint ? jointCommittedIndex(quorum, indexes) : majorityCommittedIndex(incoming, indexes);
  const expectSame = (other: number, why: string) => {
    if (other !== index) text += `${indexText(other)} <-- ${why}\n`;
  };
  if (isJoint) expectSame(jointCommittedIndex({ incoming: outgoing, outgoing: incoming }, indexes), "via symmetry");
  else {
    expectSame(jointCommittedIndex({ incoming, outgoing: [] }, indexes), "via zero-joint quorum");
    expectSame(jointCommittedIndex({ incoming, outgoing: incoming }, indexes), "via self-joint quorum");
    // What lies below the committed index may fall further without changing it.
    for (const slot of incoming) {
      if (indexes[slot] === 0 || indexes[slot] >= index) continue;
      for (const lowered of [indexes[slot] - 1, 0]) {
        expectSame(
          majorityCommittedIndex(incoming, indexes.with(slot, lowered)),
          `overlaying ${ids[slot]}->${lowered}`,
        );
      }
    }
  }
  return `${text}${indexText(index)}\n`;
}

const VOTES: Readonly<Record<string, Vote>> = { y: Vote.GRANTED, n: Vote.REJECTED, _: Vote.MISSING };

function vote({ quorum, isJoint, words }: Case, directive: Directive): string {
  const votes = words.map((word) => {
    if (VOTES[word] === undefined) throw unknown(`vote ${word}`, directive);
    return VOTES[word];
  });
  const { incoming, outgoing } = quorum;
  if (!isJoint) return `${voteResultText(majorityVoteResult(incoming, votes))}\n`;
  const result = jointVoteResult(quorum, votes);
  const swapped = jointVoteResult({ incoming: outgoing, outgoing: incoming }, votes);
  return `${swapped === result ? "" : `${voteResultText(swapped)} <-- via symmetry\n`}${voteResultText(result)}\n`;
}
