import { expect, test } from "bun:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { ConfChangeSchema, ConfChangeV2Schema } from "../../../src/gen/raftpb/raft_pb.ts";
import {
  changeConfiguration,
  changeConfState,
  type ChangeResult,
  changeSimple,
  confChangesText,
  type ConfigurationChange,
  decodeConfChange,
  enterJoint,
  isLeaveJoint,
  leaveJoint,
  restoreConfiguration,
} from "../../../src/raft/conf_change/mod.ts";
import { configurationText } from "../../../src/raft/tracker/mod.ts";
import {
  type ConfChange,
  ConfChangeTransition,
  ConfChangeType,
  type ConfState,
  EMPTY_CONF_STATE,
  EntryType,
} from "../../../src/raft/types.ts";
import { parseConfChanges } from "./notation.ts";

const type = fc.constantFrom<ConfChangeType>(...Object.values(ConfChangeType));
const memberId = fc.bigInt({ min: 2n, max: 9n });
/** Member 1 is never touched, so that no change can leave a group without voters. */
const changes = fc.array(fc.record({ type, memberId }), { maxLength: 10 });

/** Any configuration that can be reached: a start, changes to it, and perhaps more through a joint configuration. */
const reachable = fc.tuple(changes, fc.option(fc.tuple(fc.boolean(), changes), { nil: undefined })).map(
  ([first, joint]) => {
    const start = first.reduce(
      (state, change) => expectChange(changeSimple(state, [change])).configuration,
      stateOf("v1"),
    );
    return joint === undefined ? start : expectChange(enterJoint(start, joint[0], joint[1])).configuration;
  },
);

function expectChange(result: ChangeResult): ConfigurationChange {
  if (result.error !== undefined) throw new Error(result.error);
  return result;
}

function stateOf(text: string): ConfState {
  return parseConfChanges(text).reduce(
    (state, change) => expectChange(changeSimple(state, [change])).configuration,
    EMPTY_CONF_STATE,
  );
}

function textOf(result: ChangeResult): string {
  return result.error ?? configurationText(result.configuration);
}

test("changes lead to the same configuration one by one as through a joint one", () => {
  fc.assert(fc.property(changes, changes, (setup, wanted) => {
    const start = setup.reduce((state, change) => changeConfState(state, change), stateOf("v1"));
    const simple = wanted.reduce((state, change) => changeConfState(state, change), start);
    const joint = expectChange(enterJoint(start, false, wanted)).configuration;
    expect(textOf(leaveJoint(joint))).toBe(configurationText(simple));
    const leaving = expectChange(enterJoint(start, true, wanted)).configuration;
    expect(configurationText(leaving)).toBe(`${configurationText(joint)} autoleave`);
  }));
});

test("every majority before a simple change shares a voter with every majority after it", () => {
  const majorities = (voters: readonly bigint[]) =>
    Array.from({ length: 1 << voters.length }, (_, mask) => voters.filter((_, at) => (mask & (1 << at)) !== 0))
      .filter((some) => some.length > voters.length / 2);
  const few = fc.array(fc.record({ type, memberId: fc.bigInt({ min: 1n, max: 5n }) }), { maxLength: 5 });
  fc.assert(
    fc.property(few, few, (setup, wanted) => {
      const start = setup.reduce((state, change) => {
        const result = changeSimple(state, [change]);
        return result.error === undefined ? result.configuration : state;
      }, stateOf("v1"));
      const result = changeSimple(start, wanted);
      if (result.error !== undefined) return;
      for (const before of majorities(start.voters)) {
        for (const after of majorities(result.configuration.voters)) {
          expect(before.some((id) => after.includes(id))).toBe(true);
        }
      }
    }),
    { numRuns: 300 },
  );
});

test("a configuration that can be reached keeps the invariants and can be restored, in any order", () => {
  fc.assert(fc.property(reachable, (state) => {
    const { voters, votersOutgoing, learners, learnersNext, autoLeave } = state;
    const all = new Set([...voters, ...votersOutgoing]);
    expect(learners.some((id) => all.has(id))).toBe(false);
    expect(learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id))).toBe(true);
    if (votersOutgoing.length === 0) expect([learnersNext.length, autoLeave]).toEqual([0, false]);

    const reversed = { ...state, voters: voters.toReversed(), learners: learners.toReversed() };
    const restored = expectChange(restoreConfiguration(reversed));
    expect(restored.configuration).toEqual(state);
    expect(restored.added).toEqual([...new Set([...all, ...learners])].sort((a, b) => a < b ? -1 : 1));
  }));
});

test("what nothing leads to is not restored", () => {
  const base = { ...EMPTY_CONF_STATE, voters: [1n] };
  expect(textOf(restoreConfiguration({ ...base, learners: [1n] }))).toBe("1 is in Learners and Voters[0]");
  expect(textOf(restoreConfiguration({ ...base, votersOutgoing: [2n], learners: [2n] }))).toBe(
    "2 is in Learners and Voters[1]",
  );
  expect(textOf(restoreConfiguration({ ...base, learnersNext: [2n] }))).toBe(
    "2 is in LearnersNext, but not Voters[1]",
  );
  expect(textOf(restoreConfiguration({ ...base, autoLeave: true }))).toBe("AutoLeave must be false when not joint");
  expect(textOf(restoreConfiguration({ ...EMPTY_CONF_STATE, learners: [2n] }))).toBe("removed all voters");
  expect(textOf(restoreConfiguration({ ...base, votersOutgoing: [1n], learnersNext: [1n] }))).toBe(
    "1 is in LearnersNext and Voters[0]",
  );
});

test("a member that is removed and added again in one change starts without a past", () => {
  const state = stateOf("v1 v2 l3");
  expect(expectChange(changeSimple(state, parseConfChanges("r2 v2 r3 l3 l4 l5 r5"))).added).toEqual([2n, 3n, 4n]);
  expect(expectChange(changeSimple(state, parseConfChanges("l2 v2 u1 v3 l3"))).added).toEqual([]);
});

test("a change takes the way its transition names", () => {
  const state = stateOf("v1");
  const text = (transition: ConfChangeTransition, wanted: string, from = state) =>
    textOf(changeConfiguration(from, { transition, changes: parseConfChanges(wanted) }));
  const { AUTO, JOINT_IMPLICIT, JOINT_EXPLICIT } = ConfChangeTransition;
  expect(text(AUTO, "v2")).toBe("voters=(1 2)");
  expect(text(AUTO, "v2 v3")).toBe("voters=(1 2 3)&&(1) autoleave");
  expect(text(JOINT_IMPLICIT, "v2")).toBe("voters=(1 2)&&(1) autoleave");
  expect(text(JOINT_EXPLICIT, "v2")).toBe("voters=(1 2)&&(1)");
  expect(text(JOINT_EXPLICIT, "")).toBe("voters=(1)&&(1)");
  expect(text(AUTO, "")).toBe("can't leave a non-joint config");
  const joint = expectChange(enterJoint(state, false, parseConfChanges("v2"))).configuration;
  expect(text(AUTO, "", joint)).toBe("voters=(1 2)");
});

test("a change of a kind nobody knows is refused, unless it is for member 0", () => {
  const unknown = { type: 7 as ConfChangeType, memberId: 2n };
  expect(textOf(changeSimple(stateOf("v1"), [unknown]))).toBe("unexpected conf type 7");
  expect(textOf(changeSimple(stateOf("v1"), [{ ...unknown, memberId: 0n }]))).toBe("voters=(1)");
});

test("a committed change that cannot be made is an error of ours", () => {
  expect(() => changeConfState(stateOf("v1"), { type: ConfChangeType.REMOVE_NODE, memberId: 1n })).toThrow(
    "removed all voters",
  );
});

test("a change is read from entries as protobuf's own encoder writes them", () => {
  const id = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
  const single = fc.record({ type, memberId: id });
  const context = fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes));
  fc.assert(fc.property(single, id, context, (change, requestId, context) => {
    const data = toBinary(
      ConfChangeSchema,
      create(ConfChangeSchema, { id: requestId, type: change.type as number, nodeId: change.memberId, context }),
    );
    expect(decodeConfChange({ type: EntryType.CONF_CHANGE, data })).toEqual({
      transition: ConfChangeTransition.AUTO,
      changes: [change],
    });
  }));
  const transition = fc.constantFrom<ConfChangeTransition>(...Object.values(ConfChangeTransition));
  fc.assert(fc.property(transition, fc.array(single), context, (transition, singles, context) => {
    const changes = singles.map(({ type, memberId }) => ({ type: type as number, nodeId: memberId }));
    const data = toBinary(
      ConfChangeV2Schema,
      create(ConfChangeV2Schema, { transition: transition as number, changes, context }),
    );
    const decoded = decodeConfChange({ type: EntryType.CONF_CHANGE_V2, data });
    expect(decoded).toEqual({ transition, changes: singles });
    expect(isLeaveJoint(decoded)).toBe(transition === ConfChangeTransition.AUTO && singles.length === 0);
  }));
});

test("an entry without data leaves a joint configuration; one that is cut off is refused", () => {
  expect(isLeaveJoint(decodeConfChange({ type: EntryType.CONF_CHANGE_V2, data: new Uint8Array() }))).toBe(true);
  const data = new Uint8Array([0x12, 5, 0x08, 1]);
  expect(() => decodeConfChange({ type: EntryType.CONF_CHANGE_V2, data })).toThrow("unexpected end");
});

test("changes are written as they are read", () => {
  expect(confChangesText(parseConfChanges("v1 l2  r3 u4"))).toBe("v1 l2 r3 u4");
  const unknown: ConfChange = { type: 9 as ConfChangeType, memberId: 5n };
  expect(confChangesText([unknown])).toBe("unknown5");
  expect(() => parseConfChanges("v1 x2")).toThrow("x2");
});
