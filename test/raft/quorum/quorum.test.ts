import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  acknowledgementsText,
  indexText,
  jointCommittedIndex,
  jointText,
  jointVoteResult,
  majorityCommittedIndex,
  majorityVoteResult,
  Vote,
  VoteResult,
} from "../../../src/raft/quorum/mod.ts";

const SLOTS = 7;
const voters = fc.uniqueArray(fc.nat(SLOTS - 1));
const indexes = fc.array(fc.nat(9), { minLength: SLOTS, maxLength: SLOTS });
const votes = fc.array(fc.constantFrom<Vote>(Vote.MISSING, Vote.GRANTED, Vote.REJECTED), {
  minLength: SLOTS,
  maxLength: SLOTS,
});

/** The entry in the middle of the sorted indexes: at least as many voters have it as do not, and one more. */
function committedBySorting(slots: number[], acknowledged: number[]): number {
  if (slots.length === 0) return Infinity;
  const sorted = slots.map((slot) => acknowledged[slot]).sort((a, b) => b - a);
  return sorted[Math.floor(slots.length / 2)];
}

/** Counts the vote under every way in which the missing ones could still be cast. */
function resultByTrying(slots: number[], cast: Vote[]): VoteResult {
  const missing = slots.filter((slot) => cast[slot] === Vote.MISSING);
  const outcomes = new Set<boolean>();
  for (let mask = 0; mask < 1 << missing.length; mask++) {
    const granted = slots.filter((slot) => {
      const position = missing.indexOf(slot);
      return position < 0 ? cast[slot] === Vote.GRANTED : (mask & (1 << position)) !== 0;
    });
    outcomes.add(slots.length === 0 || granted.length > slots.length / 2);
  }
  if (outcomes.size === 2) return VoteResult.PENDING;
  return outcomes.has(true) ? VoteResult.WON : VoteResult.LOST;
}

test("a majority has committed what the voter in the middle has acknowledged", () => {
  fc.assert(fc.property(voters, indexes, (slots, acknowledged) => {
    expect(majorityCommittedIndex(slots, acknowledged)).toBe(committedBySorting(slots, acknowledged));
  }));
});

test("a joint quorum has committed what both halves have", () => {
  fc.assert(fc.property(voters, voters, indexes, (incoming, outgoing, acknowledged) => {
    expect(jointCommittedIndex({ incoming, outgoing }, acknowledged)).toBe(
      Math.min(committedBySorting(incoming, acknowledged), committedBySorting(outgoing, acknowledged)),
    );
  }));
});

test("a vote is pending exactly while the missing votes can turn it", () => {
  fc.assert(fc.property(voters, votes, (slots, cast) => {
    expect(majorityVoteResult(slots, cast)).toBe(resultByTrying(slots, cast));
  }));
});

test("a joint vote is lost with either half and won with both", () => {
  fc.assert(fc.property(voters, voters, votes, (incoming, outgoing, cast) => {
    const results = [resultByTrying(incoming, cast), resultByTrying(outgoing, cast)];
    const expected = results.includes(VoteResult.LOST)
      ? VoteResult.LOST
      : results.includes(VoteResult.PENDING)
      ? VoteResult.PENDING
      : VoteResult.WON;
    expect(jointVoteResult({ incoming, outgoing }, cast)).toBe(expected);
  }));
});

test("an outgoing half without voters changes nothing", () => {
  fc.assert(fc.property(voters, indexes, votes, (incoming, acknowledged, cast) => {
    const quorum = { incoming, outgoing: [] };
    expect(jointCommittedIndex(quorum, acknowledged)).toBe(majorityCommittedIndex(incoming, acknowledged));
    expect(jointVoteResult(quorum, cast)).toBe(majorityVoteResult(incoming, cast));
  }));
});

test("acknowledgements are drawn as bars, the longer the more voters are behind", () => {
  expect(acknowledgementsText([1n, 2n, 0xan], [101, undefined, 103])).toBe(
    [
      "       idx",
      "x>     101    (id=1)",
      "?        0    (id=2)",
      "xx>    103    (id=a)",
      "",
    ].join("\n"),
  );
  expect(acknowledgementsText([], [])).toBe("<empty majority quorum>");
});

test("ids are written in hexadecimal, no bound as infinity", () => {
  expect(jointText([1n, 0xffn], [])).toBe("(1 ff)");
  expect(jointText([1n], [2n, 3n])).toBe("(1)&&(2 3)");
  expect([indexText(7), indexText(Infinity)]).toEqual(["7", "∞"]);
});
