/** The rows of three members on one machine: what agreeing costs, what the loss of a leader costs, and a member that joins. */
import { delay, execute, type Server } from "../interop/process.ts";
import type { Cluster } from "./cluster.ts";
import {
  atLeast,
  atMost,
  type Bar,
  type ClusterGroup,
  cpu,
  type FigureDefinition,
  latency,
  type Row,
  type Scale,
  throughput,
} from "./definitions.ts";
import { benchmark, type Figures, load, memory, type Target, withCpu } from "./measure.ts";

const totalCpu = (bar?: Bar): FigureDefinition => ({ ...cpu(bar), title: "CPU of all three per request" });
const megabytes = (title: string): FigureDefinition => ({ title, unit: "MB", digits: 0 });

export const CLUSTER_ROWS: Row[] = [
  {
    name: "cluster-put",
    title: "3 members: put, 256 B, 100 clients on all of them",
    figures: {
      throughput: throughput(atLeast(1.5)),
      cpu: totalCpu(atMost(0.5)),
      p99: latency("p99"),
      leader: megabytes("RSS of the leader"),
      follower: megabytes("RSS of the larger follower"),
      sent: { title: "bytes between members per user byte", unit: "", digits: 2 },
    },
  },
  {
    name: "cluster-put-leader",
    title: "the same, all of them on the leader",
    figures: { throughput: throughput(atLeast(1.5)), cpu: totalCpu(atMost(0.5)), p99: latency("p99") },
  },
  {
    name: "cluster-put-one",
    title: "3 members: put, 1 client on the leader",
    figures: { p50: latency("p50", atMost(1)), p99: latency("p99"), cpu: totalCpu() },
  },
  {
    name: "cluster-range",
    title: "3 members: linearizable range, 100 clients on all",
    figures: { throughput: throughput(atLeast(1.3)), cpu: totalCpu(), p99: latency("p99") },
  },
  {
    name: "cluster-kill",
    title: "3 members: kill -9 of the leader",
    figures: {
      gap: latency("without a leader, median", atMost(1)),
      longest: { ...latency("without a leader, maximum", atMost(1)), isWorst: true },
    },
  },
  {
    name: "cluster-join",
    title: "keys of 32 B + 256 B, a 4th member joins",
    figures: {
      time: { title: "until it has caught up", unit: "s", digits: 2, bar: atMost(1 / 1.5) },
      read: { title: "until its first linearizable read", unit: "s", digits: 2 },
      rss: megabytes("leader's RSS grows by"),
      anonymous: megabytes("leader's RssAnon grows by"),
      put: latency("longest put meanwhile"),
    },
  },
];

const CLIENTS = ["--clients", "100", "--conns", "10"];
const KEY_SIZE = 8;
const VALUE_SIZE = 256;
const KEY_SPACE = 100_000;
const PUT_SHAPE = [
  ...["put", "--key-size", String(KEY_SIZE)],
  ...["--val-size", String(VALUE_SIZE), "--key-space-size", String(KEY_SPACE)],
];

export const CLUSTER_GROUPS: ClusterGroup[] = [
  {
    rows: ["cluster-put", "cluster-put-leader", "cluster-put-one", "cluster-range"],
    rounds: (scale) => scale.rounds,
    runOnCluster: underLoad,
  },
  {
    rows: ["cluster-kill"],
    rounds: (scale) => scale.killRounds,
    async runOnCluster(cluster, scale) {
      const kills: Figures[] = [];
      for (let kill = 0; kill < scale.killsPerRound; kill++) kills.push(await killLeader(cluster));
      return { "cluster-kill": kills };
    },
  },
  {
    rows: ["cluster-join"],
    rounds: () => 1,
    runOnCluster: async (cluster, scale) => ({ "cluster-join": await joinCluster(cluster, scale) }),
  },
];

async function underLoad(
  cluster: Cluster,
  scale: Scale,
  wanted: (row: string) => boolean,
): Promise<Record<string, Figures>> {
  const figures: Record<string, Figures> = {};
  const leader = await cluster.leader();
  const followers = cluster.members.filter((member) => member !== leader);
  // The tool spreads its connections over the endpoints in turn: the leader, first in both clusters, has one more.
  const all: Target = { endpoint: [leader, ...followers].map((member) => member.endpoint).join(",") };
  const measured = (target: Target, count: number, args: string[]) =>
    withCpu(cluster.members, count, () => benchmark(target, [...args, "--total", String(count)]));
  await benchmark(all, [...CLIENTS, ...PUT_SHAPE, "--total", String(scale.warmUpTotal)]);
  if (wanted("cluster-put")) {
    const before = await sentBytes(cluster);
    const puts = await measured(all, scale.putTotal, [...CLIENTS, ...PUT_SHAPE]);
    const userBytes = scale.putTotal * (KEY_SIZE + VALUE_SIZE);
    const after = await sentBytes(cluster);
    figures["cluster-put"] = {
      ...puts,
      leader: memory(leader.pid).rssMegabytes,
      follower: Math.max(...followers.map((member) => memory(member.pid).rssMegabytes)),
      ...(before !== undefined && after !== undefined && { sent: (after - before) / userBytes }),
    };
  }
  if (wanted("cluster-put-leader")) {
    figures["cluster-put-leader"] = await measured(leader, scale.putTotal, [...CLIENTS, ...PUT_SHAPE]);
  }
  if (wanted("cluster-put-one")) {
    const single = ["--clients", "1", "--conns", "1", ...PUT_SHAPE];
    figures["cluster-put-one"] = await measured(leader, scale.singleTotal, single);
  }
  if (wanted("cluster-range")) {
    // The tool's keys are random bytes; a key of our own certainly exists.
    const one = ["--clients", "1", "--conns", "1", "--total", "1", "--keys", "sequential"];
    await load(leader, "put", [...one, "--key-size", String(KEY_SIZE)]);
    const range = [...CLIENTS, "range", "0".repeat(KEY_SIZE), "--consistency", "l"];
    figures["cluster-range"] = await measured(all, scale.rangeTotal, range);
  }
  if (await cluster.leader() !== leader) throw new Error("the leader changed while the cluster was measured");
  return figures;
}

/** As a server counts them, where it does: what its messages hold, without what HTTP adds. */
async function sentBytes(cluster: Cluster): Promise<number | undefined> {
  let sum: number | undefined;
  for (const member of cluster.members) {
    const { stdout } = await execute("curl", ["--silent", "--max-time", "5", `${member.url}/metrics`]);
    for (const found of stdout.matchAll(/^etcd_network_peer_sent_bytes_total\{[^}]*\} ([\d.e+]+)$/gm)) {
      sum = (sum ?? 0) + Number(found[1]);
    }
  }
  return sum;
}

/** A member that has just come back may not be connected to everybody yet. */
const RECONNECT_MS = 1_000;

async function killLeader(cluster: Cluster): Promise<Figures> {
  await delay(RECONNECT_MS);
  const leader = await cluster.leader();
  const survivors = cluster.members.filter((member) => member !== leader).map((member) => member.endpoint);
  const { maxMs } = await load({ endpoint: survivors.join(",") }, "leaderless", ["--pid", String(leader.pid)]);
  await leader.restart();
  return { gap: maxMs, longest: maxMs };
}

const JOIN_KEY_SIZE = 32;
const MEMORY_POLL_MS = 50;

async function joinCluster(cluster: Cluster, scale: Scale): Promise<Figures> {
  const leader = await cluster.leader();
  await benchmark(leader, [
    ...CLIENTS,
    ...["put", "--key-size", String(JOIN_KEY_SIZE), "--val-size", String(VALUE_SIZE), "--sequential-keys"],
    ...["--key-space-size", String(scale.largeKeys), "--total", String(scale.largeKeys)],
  ]);
  await delay(SETTLE_MS);
  const before = memory(leader.pid);
  const figures: Figures = { rss: 0, anonymous: 0 };
  const poll = setInterval(() => {
    const now = memory(leader.pid);
    figures["rss"] = Math.max(figures["rss"]!, now.rssMegabytes - before.rssMegabytes);
    figures["anonymous"] = Math.max(figures["anonymous"]!, now.anonymousMegabytes - before.anonymousMegabytes);
  }, MEMORY_POLL_MS);
  try {
    let hasJoined = false;
    const joined = timeToJoin(cluster, leader).finally(() => hasJoined = true);
    const put = await longestPutMs(leader, () => hasJoined);
    return { ...(await joined), ...figures, put };
  } finally {
    clearInterval(poll);
  }
}

/** Long enough for what a load has left behind to be collected or flushed. */
const SETTLE_MS = 3_000;

/** Seconds from the request to add it. */
async function timeToJoin(cluster: Cluster, leader: Server): Promise<Figures> {
  const beganMs = Date.now();
  const member = await cluster.add();
  const started = member.start();
  const [caughtUp] = await Promise.all([
    load(member, "caught-up", ["--with", leader.endpoint, "--timeout", `${JOIN_SECONDS_MAX}s`]),
    started,
  ]);
  return { time: (caughtUp.readyUnixMs! - beganMs) / 1000, read: (Date.now() - beganMs) / 1000 };
}

const JOIN_SECONDS_MAX = 300;

const PUT_RATE = 200;

/** Puts at a fixed rate, a second at a time, until it is over. */
async function longestPutMs(leader: Server, isOver: () => boolean): Promise<number> {
  let longest = 0;
  while (!isOver()) {
    const puts = await load(leader, "put", [
      ...["--rate", String(PUT_RATE), "--duration", "1s", "--clients", "100", "--conns", "2"],
      ...["--key-size", String(JOIN_KEY_SIZE), "--val-size", String(VALUE_SIZE)],
    ]);
    longest = Math.max(longest, puts.maxMs);
  }
  return longest;
}
