import { expect, test } from "bun:test";
import { runSeed } from "../seed.ts";

test("a seed lives through the same story every time, whatever ran before it", () => {
  const first = runSeed({ seed: 42, tellsStory: true });
  runSeed({ seed: 43, tellsStory: false });
  const second = runSeed({ seed: 42, tellsStory: true });
  expect(first.story.length).toBeGreaterThan(1000);
  expect(second.story.join("\n")).toBe(first.story.join("\n"));
  expect(second.coverage.counts).toEqual(first.coverage.counts);
});

test("telling the story changes nothing in it", () => {
  const told = runSeed({ seed: 44, tellsStory: true });
  const untold = runSeed({ seed: 44, tellsStory: false });
  expect(untold.story).toEqual([]);
  expect(untold.coverage.counts).toEqual(told.coverage.counts);
});

test("a seed is at least as much as it promises to be, and clean", () => {
  const { violations, operationCount, faultCount, simulatedMs } = runSeed({ seed: 45, tellsStory: false });
  expect(violations).toEqual([]);
  expect(operationCount).toBeGreaterThanOrEqual(300);
  expect(faultCount).toBeGreaterThanOrEqual(10);
  expect(simulatedMs).toBeGreaterThanOrEqual(60_000);
});
