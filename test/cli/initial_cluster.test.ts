import { expect, test } from "bun:test";
import { type Config, makeConfig } from "../../src/cli/config.ts";
import { parseArguments, Settings } from "../../src/cli/flags/mod.ts";
import { clusterOrigin, type ClusterParts } from "../../src/cli/initial_cluster.ts";
import { readInitialMembers } from "../../src/cli/initial_members.ts";
import { silentLogger } from "../../src/io/log.ts";
import { systemCrypto } from "../../src/io/system/mod.ts";
import { askThese } from "../harness/answers.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

function configOf(args: string[]): Config {
  const settings = new Settings();
  parseArguments(args, settings);
  return makeConfig(settings);
}

/** Of the names, "z" stands for this machine; nobody answers. */
function parts(): ClusterParts {
  return {
    clock: new SimulatedClock(),
    crypto: systemCrypto,
    log: silentLogger,
    network: { resolve: (host) => Promise.resolve([host === "z" ? "127.0.0.1" : host]) },
    ask: askThese({}),
    requestTimeoutMs: 7000,
  };
}

test("the members are read, those of one name together, their URLs sorted", () => {
  expect(readInitialMembers("a=http://x:2,b=http://z:1,,a=http://x:1")).toEqual([
    { name: "a", peerUrls: ["http://x:1", "http://x:2"] },
    { name: "b", peerUrls: ["http://z:1"] },
  ]);
});

test("a member without settings begins a cluster of its own, also under another name", async () => {
  expect(await clusterOrigin(configOf([]), parts()))
    .toEqual({ initial: [{ name: "default", peerUrls: ["http://localhost:2380"] }] });
  expect(await clusterOrigin(configOf(["--name=a"]), parts()))
    .toEqual({ initial: [{ name: "a", peerUrls: ["http://localhost:2380"] }] });
});

test("a name in one place and its address in the other are the same", async () => {
  const args = ["--initial-cluster=default=http://127.0.0.1:1", "--initial-advertise-peer-urls=http://z:1"];
  expect(await clusterOrigin(configOf(args), parts()))
    .toEqual({ initial: [{ name: "default", peerUrls: ["http://127.0.0.1:1"] }] });
});

test("a new member must be in the initial cluster, under the URLs it advertises, in etcd's words", async () => {
  const at = "--initial-advertise-peer-urls=";
  const cases: [string[], string][] = [
    [["--initial-cluster=a=http://a:1"], 'couldn\'t find local name "default" in the initial cluster configuration'],
    [
      ["--initial-cluster=default=foo"],
      "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: foo",
    ],
    [["--initial-cluster="], 'couldn\'t find local name "default" in the initial cluster configuration'],
    [
      ["--initial-cluster=default=http://a:1"],
      "--initial-cluster has default=http://a:1 but missing from --initial-advertise-peer-urls=http://localhost:2380",
    ],
    [
      [`${at}http://localhost:2380,http://z:1`],
      "--initial-advertise-peer-urls has http://z:1 but missing from " +
      "--initial-cluster=default=http://localhost:2380,default=http://z:1",
    ],
    [
      [`${at}http://127.0.0.1:1`, "--initial-cluster=default=http://127.0.0.1:1,b=http://127.0.0.1:1"],
      "initial cluster b=http://127.0.0.1:1,default=http://127.0.0.1:1 has duplicate url",
    ],
    [
      [`${at}http://127.0.0.1:1`, "--initial-cluster=default=http://127.0.0.1:1,default=http://127.0.0.1:2"],
      "does --initial-cluster give the name default to two members?",
    ],
    [
      [`${at}http://127.0.0.1:1`, "--initial-cluster=default=http://127.0.0.1:1,b=https://127.0.0.1:2"],
      "reaching a member at https://127.0.0.1:2 needs TLS",
    ],
  ];
  for (const [args, message] of cases) await expect(clusterOrigin(configOf(args), parts())).rejects.toThrow(message);
});

test("one that joins need not advertise what the cluster knows of it, but must be named", async () => {
  const existing = "--initial-cluster-state=existing";
  await expect(clusterOrigin(configOf([existing, "--initial-cluster=a=http://a:1"]), parts()))
    .rejects.toThrow("couldn't find local name");
  await expect(clusterOrigin(configOf([existing, "--initial-cluster=a=http://a:1,default=http://b:1"]), parts()))
    .rejects.toThrow("cannot fetch cluster info from peer urls");
});
