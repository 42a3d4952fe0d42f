import { expect, test } from "bun:test";
import { connectionsFor, descriptorLimit } from "../../src/cli/descriptors.ts";

test("clients get what etcd's 150 descriptors, or an eighth of all, leave", () => {
  expect(connectionsFor(151)).toBe(1);
  expect(connectionsFor(1024)).toBe(874);
  expect(connectionsFor(20_000)).toBe(17_500);
});

test("a limit that leaves none is refused", () => {
  expect(() => connectionsFor(150)).toThrow("file descriptor limit of etcd process is too low; please set higher");
});

test("the limit of this process is more than its standard streams", () => {
  expect(descriptorLimit()).toBeGreaterThan(3);
});
