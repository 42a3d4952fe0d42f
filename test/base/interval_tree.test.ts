import { expect, test } from "bun:test";
import fc from "fast-check";
import { compareBytes, hex, utf8 } from "../../src/base/bytes.ts";
import { IntervalTree } from "../../src/base/interval_tree.ts";

function stab(tree: IntervalTree<string>, key: Uint8Array): string[] {
  const found: string[] = [];
  tree.stab(key, 0, key.length, found);
  return found;
}

test("the start belongs to an interval and the end does not", () => {
  const tree = new IntervalTree<string>();
  tree.set(utf8("b"), utf8("d"), "b-d");
  expect(stab(tree, utf8("a"))).toEqual([]);
  expect(stab(tree, utf8("b"))).toEqual(["b-d"]);
  expect(stab(tree, utf8("c~"))).toEqual(["b-d"]);
  expect(stab(tree, utf8("d"))).toEqual([]);
});

test("an interval without end holds every key from its start", () => {
  const tree = new IntervalTree<string>();
  tree.set(utf8("m"), undefined, "m-");
  tree.set(utf8("m"), utf8("n"), "m-n");
  expect(stab(tree, utf8("l"))).toEqual([]);
  expect(stab(tree, utf8("mm")).sort()).toEqual(["m-", "m-n"]);
  expect(stab(tree, Uint8Array.of(255, 255))).toEqual(["m-"]);
});

test("a key is looked for between two positions of a buffer", () => {
  const tree = new IntervalTree<string>();
  tree.set(utf8("b"), utf8("c"), "b");
  const found: string[] = [];
  tree.stab(utf8("xxbyy"), 2, 3, found);
  expect(found).toEqual(["b"]);
});

test("setting an interval again replaces its value", () => {
  const tree = new IntervalTree<string>();
  tree.set(utf8("a"), utf8("b"), "first");
  tree.set(utf8("a"), utf8("b"), "second");
  expect(tree.size).toBe(1);
  expect(tree.get(utf8("a"), utf8("b"))).toBe("second");
  expect(tree.get(utf8("a"), undefined)).toBeUndefined();
  expect(tree.delete(utf8("a"), utf8("b"))).toBe(true);
  expect(tree.delete(utf8("a"), utf8("b"))).toBe(false);
  expect(tree.size).toBe(0);
});

test("any sequence of insertions and removals finds what a list finds", () => {
  const key = fc.uint8Array({ maxLength: 2, max: 4 });
  const end = fc.option(key, { nil: undefined, freq: 4 });
  const action = fc.record({ start: key, end, isInsert: fc.boolean(), probe: key });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 150 }), (actions) => {
      const tree = new IntervalTree<string>();
      const model = new Map<string, { start: Uint8Array; end: Uint8Array | undefined }>();
      for (const { start, end, isInsert, probe } of actions) {
        const name = `${hex(start)}-${end === undefined ? "end" : hex(end)}`;
        if (isInsert) {
          tree.set(start, end, name);
          model.set(name, { start, end });
        } else expect(tree.delete(start, end)).toBe(model.delete(name));
        expect(tree.size).toBe(model.size);
        expect(tree.get(start, end)).toBe(isInsert ? name : undefined);
        const around = [...model].filter(([, interval]) =>
          compareBytes(interval.start, probe) <= 0 &&
          (interval.end === undefined || compareBytes(probe, interval.end) < 0)
        );
        expect(stab(tree, probe).sort()).toEqual(around.map(([name]) => name).sort());
      }
    }),
  );
});

test("a hundred thousand intervals in order stay shallow", () => {
  const tree = new IntervalTree<number>();
  for (let i = 0; i < 100_000; i++) {
    const name = String(i).padStart(6, "0");
    tree.set(utf8(name), utf8(`${name}~`), i);
  }
  const found: number[] = [];
  const started = performance.now();
  for (let i = 0; i < 1000; i++) {
    const key = utf8(`${String(i * 97).padStart(6, "0")}x`);
    tree.stab(key, 0, key.length, found);
  }
  expect(found).toEqual(Array.from({ length: 1000 }, (_, i) => i * 97));
  // A thousand walks of a list of this length would take seconds.
  expect(performance.now() - started).toBeLessThan(1500);
});
