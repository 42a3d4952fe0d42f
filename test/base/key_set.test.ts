import { expect, test } from "bun:test";
import fc from "fast-check";
import { bytesFromLatin1, compareBytes, latin1, utf8 } from "../../src/base/bytes.ts";
import { KeySet } from "../../src/base/key_set.ts";

function insert(set: KeySet, key: Uint8Array): number {
  return set.insert(key, 0, key.length);
}

function find(set: KeySet, key: Uint8Array): number {
  return set.find(key, 0, key.length);
}

test("a key is found by its bytes, wherever they lie", () => {
  const set = new KeySet();
  const entry = insert(set, utf8("apple"));
  const text = utf8("an apple a day");
  expect(set.find(text, 3, 8)).toBe(entry);
  expect(set.find(text, 3, 7)).toBe(-1);
  expect(set.insert(text, 3, 8)).toBe(entry);
  expect(set.size).toBe(1);
  expect(set.key(entry)).toEqual(utf8("apple"));
});

test("the empty key and bytes of any value are keys", () => {
  const set = new KeySet(99);
  const empty = insert(set, utf8(""));
  const binary = insert(set, Uint8Array.of(0, 255, 128, 0));
  expect(find(set, utf8(""))).toBe(empty);
  expect(find(set, Uint8Array.of(0, 255, 128, 0))).toBe(binary);
  expect(find(set, Uint8Array.of(0))).toBe(-1);
});

test("an empty set holds no storage", () => {
  const set = new KeySet();
  const entries = [];
  for (let i = 0; i < 10_000; i++) entries.push(insert(set, utf8(`key-${i}`)));
  expect(set.storageSize).toBeGreaterThan(0);
  for (const entry of entries) set.remove(entry);
  expect(set.size).toBe(0);
  expect(set.entryEnd).toBe(0);
  expect(set.storageSize).toBe(0);
});

test("storage follows the living keys, not the ones that ever were", () => {
  const set = new KeySet();
  const waiting: number[] = [];
  for (let i = 0; i < 100_000; i++) {
    waiting.push(insert(set, utf8(`/registry/events/${i}`)));
    if (waiting.length > 100) set.remove(waiting.shift()!);
  }
  expect(set.size).toBe(100);
  expect(set.entryEnd).toBeLessThan(200);
  expect(set.storageSize).toBeLessThan(300_000);
});

test("one living key among many dead ones does not keep their storage", () => {
  const set = new KeySet();
  const entries = [];
  for (let i = 0; i < 50_000; i++) entries.push(insert(set, utf8(`key-${i}`)));
  for (let i = 0; i < 50_000; i++) if (i % 1000 !== 0) set.remove(entries[i]);
  expect(set.storageSize).toBeLessThan(200_000);
  for (let i = 0; i < 50_000; i += 1000) expect(set.key(entries[i])).toEqual(utf8(`key-${i}`));
});

test("a key larger than a chunk has one of its own", () => {
  const set = new KeySet();
  const large = new Uint8Array(200_000).fill(7);
  const entry = insert(set, large);
  const small = insert(set, utf8("small"));
  expect(find(set, large)).toBe(entry);
  set.remove(entry);
  expect(find(set, large)).toBe(-1);
  expect(set.key(small)).toEqual(utf8("small"));
});

test("any sequence of insertions and removals agrees with a Map, whatever the seed", () => {
  const key = fc.string({ maxLength: 6, unit: fc.constantFrom("a", "b", "\u0000", "ÿ") });
  const action = fc.record({ key, isInsert: fc.boolean() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 300 }), fc.integer(), (actions, seed) => {
      const set = new KeySet(seed);
      const model = new Map<string, number>();
      for (const { key, isInsert } of actions) {
        const bytes = bytesFromLatin1(key);
        const known = model.get(key);
        expect(find(set, bytes)).toBe(known ?? -1);
        if (isInsert) {
          const entry = insert(set, bytes);
          if (known === undefined) model.set(key, entry);
          else expect(entry).toBe(known);
        } else if (known !== undefined) {
          set.remove(known);
          model.delete(key);
        }
        expect(set.size).toBe(model.size);
      }
      expect(new Set(model.values()).size).toBe(model.size);
      for (const [key, entry] of model) expect(latin1(set.key(entry))).toBe(key);
    }),
  );
});

test("two keys of the set compare as their bytes do", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5 }), fc.uint8Array({ maxLength: 5 }), (a, b) => {
      const set = new KeySet();
      const order = set.compare(insert(set, a), insert(set, b));
      expect(Math.sign(order)).toBe(Math.sign(compareBytes(a, b)));
    }),
  );
});
