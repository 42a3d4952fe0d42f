import { expect, test } from "bun:test";
import { silentLogger } from "../../src/io/log.ts";
import { PeerUrlComparison } from "../../src/member/mod.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

/** Names that are known, and those that will be after so many tries. */
function comparisonWith(names: Readonly<Record<string, string>>, triesUntilKnown = 1) {
  const clock = new SimulatedClock();
  const asked: string[] = [];
  const resolve = (host: string): Promise<string[]> => {
    asked.push(host);
    if (/^[\d.]+$|:/.test(host)) return Promise.resolve([host]);
    const address = names[host];
    if (address === undefined || asked.filter((name) => name === host).length < triesUntilKnown) {
      return Promise.reject(new Error(`no such host ${host}`));
    }
    return Promise.resolve([address]);
  };
  const comparison = new PeerUrlComparison({ clock, log: silentLogger, network: { resolve } });
  const difference = async (a: readonly string[], b: readonly string[]): Promise<string | undefined> => {
    let result: { text: string | undefined } | undefined;
    comparison.difference(a, b).then((text) => result = { text });
    for (let seconds = 0; result === undefined; seconds++) {
      if (seconds > 60) throw new Error("it takes longer than a minute");
      await clock.advance(1000);
    }
    return result.text;
  };
  return { difference, asked, clock };
}

test("what is written alike is the same, in any order, and no name is looked up", async () => {
  const { difference, asked } = comparisonWith({});
  expect(await difference(["http://a:1", "http://b:2"], ["http://b:2", "http://a:1"])).toBeUndefined();
  expect(await difference(["http://[::0001]:1"], ["http://[::1]:1"])).toBeUndefined();
  expect(asked).toEqual([]);
});

test("a name is the same as what it stands for", async () => {
  const { difference } = comparisonWith({ a: "10.0.0.1", b: "fd00::1" });
  expect(await difference(["http://a:1", "http://b:2"], ["http://10.0.0.1:1", "http://[fd00::1]:2"])).toBeUndefined();
});

test("what differs is told", async () => {
  const { difference } = comparisonWith({ a: "10.0.0.1" });
  expect(await difference(["http://a:1"], ["http://a:1", "http://b:1"]))
    .toBe('len(["http://a:1"]) != len(["http://a:1" "http://b:1"])');
  expect(await difference(["http://a:1"], ["http://10.0.0.2:1"]))
    .toBe('resolved urls: "http://10.0.0.1:1" != "http://10.0.0.2:1"');
  expect(await difference(["http://a:1"], ["http://10.0.0.1:2"]))
    .toBe('resolved urls: "http://10.0.0.1:1" != "http://10.0.0.1:2"');
  expect(await difference(["unix:///a"], ["unix:///b"])).toBe('resolved urls: "unix:///a" != "unix:///b"');
  expect(await difference(["http://localhost:1"], ["http://127.0.0.1:1"]))
    .toBe('resolved urls: "http://localhost:1" != "http://127.0.0.1:1"');
});

test("a name that nobody knows yet is tried again, for half a minute", async () => {
  expect(await comparisonWith({ a: "10.0.0.1" }, 20).difference(["http://a:1"], ["http://10.0.0.1:1"])).toBeUndefined();
  const { difference, asked } = comparisonWith({});
  expect(await difference(["http://a:1"], ["http://10.0.0.1:1"])).toBe(
    'failed to resolve "http://a:1" (no such host a)',
  );
  expect(asked.length).toBeGreaterThan(25);
  expect(asked.length).toBeLessThanOrEqual(30);
});
