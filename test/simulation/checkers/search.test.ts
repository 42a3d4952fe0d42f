import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Candidate, search, type SequentialModel } from "./search.ts";

/** A register: writes of a value, reads that saw one. */
interface Access {
  readonly kind: "write" | "read";
  readonly value: number;
}

const REGISTER: SequentialModel<number, Access> = {
  initial: 0,
  step: (state, { kind, value }) => kind === "write" ? [value] : value === state ? [state] : [],
  isRelated: () => true,
  text: String,
};

type RegisterCandidate = Candidate<Access>;

function access(kind: Access["kind"], value: number, invoked: number, returned = Infinity): RegisterCandidate {
  return { operation: { kind, value }, invoked, returned, isCertain: returned < Infinity, rank: undefined };
}

function verdict(candidates: RegisterCandidate[], stepsMax = 100_000): string {
  return search(REGISTER, candidates, stepsMax).verdict;
}

/** Tries every subset of what is uncertain in every order. */
function tryEverything<State, Operation>(
  model: SequentialModel<State, Operation>,
  candidates: readonly Candidate<Operation>[],
  state = model.initial,
): boolean {
  if (!candidates.some(({ isCertain }) => isCertain)) return true;
  return candidates.some((next) => {
    const rest = candidates.filter((other) => other !== next);
    if (rest.some((other) => other.returned < next.invoked)) return false;
    return model.step(state, next.operation).some((after) => tryEverything(model, rest, after));
  });
}

test("operations one after the other must be right in that order", () => {
  expect(verdict([access("write", 1, 1, 2), access("read", 1, 3, 4)])).toBe("linearizable");
  expect(verdict([access("write", 1, 1, 2), access("read", 0, 3, 4)])).toBe("impossible");
});

test("operations at the same time may be in any order", () => {
  expect(verdict([access("write", 1, 1, 5), access("read", 0, 2, 4)])).toBe("linearizable");
  expect(verdict([access("write", 1, 1, 5), access("read", 1, 2, 4)])).toBe("linearizable");
  expect(verdict([access("write", 1, 1, 9), access("read", 1, 2, 4), access("read", 0, 5, 6)])).toBe("impossible");
});

test("an operation that never returned may have happened late, or never", () => {
  const lost = access("write", 7, 1);
  expect(verdict([lost, access("read", 0, 2, 3)])).toBe("linearizable");
  expect(verdict([lost, access("read", 0, 2, 3), access("read", 7, 4, 5)])).toBe("linearizable");
  expect(verdict([lost, access("read", 7, 2, 3), access("read", 0, 4, 5)])).toBe("impossible");
  expect(verdict([access("read", 7, 1, 2), access("write", 7, 3)])).toBe("impossible");
});

test("the search agrees with trying everything", () => {
  const candidate = fc.tuple(
    fc.constantFrom("write" as const, "read" as const),
    fc.nat(2),
    fc.nat(12),
    fc.integer({ min: 1, max: 5 }),
    fc.nat(4),
  ).map(([kind, value, invoked, length, chance]) =>
    access(kind, value, invoked, chance === 0 ? Infinity : invoked + length)
  );
  fc.assert(
    fc.property(fc.array(candidate, { maxLength: 6 }), (candidates) => {
      expect(verdict(candidates)).toBe(tryEverything(REGISTER, candidates) ? "linearizable" : "impossible");
    }),
    { numRuns: 1000 },
  );
});

/** Two registers, which one read can see together. */
interface PairAccess {
  readonly kind: "write" | "read";
  readonly at: "left" | "right" | "both";
  readonly value: string;
}

const PAIR: SequentialModel<string, PairAccess> = {
  initial: "00",
  step(state, { kind, at, value }) {
    const [left, right] = at === "both" ? value : at === "left" ? value + state[1] : state[0] + value;
    return kind === "write" || state === left + right ? [left + right] : [];
  },
  isRelated: (a, b) => a.at === b.at || a.at === "both" || b.at === "both",
  text: (state) => state,
};

test("uncertain operations that do not notice one another are all found behind what does", () => {
  const operation = (
    kind: PairAccess["kind"],
    at: PairAccess["at"],
    value: string,
    invoked: number,
    length = Infinity,
  ) => {
    return {
      operation: { kind, at, value },
      invoked,
      returned: invoked + length,
      isCertain: length < Infinity,
      rank: undefined,
    };
  };
  const lost = [operation("write", "left", "1", 1), operation("write", "right", "2", 2)];
  const verdictOf = (candidates: Candidate<PairAccess>[]) => search(PAIR, candidates, 100_000).verdict;
  for (const value of ["00", "10", "02", "12"]) {
    expect(verdictOf([...lost, operation("read", "both", value, 4, 1)])).toBe("linearizable");
  }
  expect(verdictOf([...lost, operation("read", "both", "21", 4, 1)])).toBe("impossible");

  const digit = fc.constantFrom("0", "1");
  const single = fc.tuple(fc.constantFrom("left" as const, "right" as const), digit);
  const both = fc.tuple(fc.constant("both" as const), fc.tuple(digit, digit).map((digits) => digits.join("")));
  const access = fc.tuple(
    fc.constantFrom("write" as const, "read" as const),
    fc.oneof(single, both),
    fc.nat(12),
    fc.constantFrom(2, 5, Infinity),
  ).map(([kind, [at, value], invoked, length]) => operation(kind, at, value, invoked, length));
  fc.assert(
    fc.property(fc.array(access, { maxLength: 6 }), (candidates) => {
      expect(verdictOf(candidates)).toBe(tryEverything(PAIR, candidates) ? "linearizable" : "impossible");
    }),
    { numRuns: 1500 },
  );
});

test("a rank that may not fall leaves one order", () => {
  const ranked = (value: number, rank: number): RegisterCandidate => ({ ...access("write", value, 1, 100), rank });
  const candidates = Array.from({ length: 200 }, (_, at) => ranked(at, (at * 71) % 200));
  const result = search(REGISTER, candidates, 100_000);
  expect(result).toEqual({ verdict: "linearizable", steps: 200 });
});

test("a search that takes too long is given up, and says so", () => {
  const writes = Array.from({ length: 16 }, (_, at) => access("write", at + 1, 1, 100));
  expect(verdict([...writes, access("read", 99, 1, 100)], 1000)).toBe("gave up");
});

test("what could not be placed is told", () => {
  const result = search(REGISTER, [access("write", 1, 1, 2), access("read", 5, 3, 4)], 100);
  expect(result).toEqual({ verdict: "impossible", steps: 2, placed: 1, stuck: [{ kind: "read", value: 5 }] });
});
