/** SIGTERM to the leader, under load and with open watches: another one leads soon, and the process is gone soon. */
import { bytes, CallError, Client, encode, pathOf } from "../client.ts";
import { Connection } from "../connection.ts";
import { type Case, check, type Context } from "../context.ts";
import { Cluster, CLUSTER_SIZE } from "../cluster/cluster.ts";
import { LocalNetwork } from "../cluster/local_network.ts";
import { delay, within } from "../server.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch, WatchRequestSchema } from "../../../src/gen/etcdserverpb/watch_pb.ts";

const ROUNDS = 10;
const ROUNDS_LONG = 100;
const WRITERS_PER_MEMBER = 4;
const WATCHES = 50;
const LOAD_MS = 300;
const POLL_MS = 5;
/** What is promised holds for the median, since other programs may take this machine's time; no round takes longer than twice. */
const LEADER_MS_MEDIAN = 500;
const STOP_MS_MEDIAN = 1500;
const PATIENCE = 2;
const CALL_MS_MAX = 10_000;

export const clusterHandover: Case = {
  name: "cluster_handover",
  about:
    "SIGTERM to the leader under load: a new leader within 500 ms, the end within 1.5 s, nothing acknowledged lost",
  async run(context) {
    const cluster = new Cluster(context, new LocalNetwork(context, CLUSTER_SIZE));
    await cluster.start();
    const rounds = context.settings.isLong ? ROUNDS_LONG : ROUNDS;
    const leaderMs: number[] = [], stopMs: number[] = [];
    const acknowledged = new Map<string, number>();
    let failures = 0;
    for (let round = 1; round <= rounds; round++) {
      const load = new Load(cluster, acknowledged);
      const measured = await handOver(context, cluster);
      leaderMs.push(measured.leaderMs);
      stopMs.push(measured.stopMs);
      failures += await load.stop();
      cluster.members[measured.member]!.spawn();
      await cluster.works();
    }
    await checkAcknowledged(cluster, acknowledged);
    const leader = checkTimes("another member leads", leaderMs, LEADER_MS_MEDIAN);
    const stop = checkTimes("the process is gone", stopMs, STOP_MS_MEDIAN);
    return `${rounds} times: ${leader}, ${stop}; ${acknowledged.size} keys acknowledged and there, ${failures} calls failed`;
  },
};

async function handOver(
  context: Context,
  cluster: Cluster,
): Promise<{ member: number; leaderMs: number; stopMs: number }> {
  const member = await cluster.untilLeader();
  const server = cluster.members[member]!;
  const watcher = await Connection.open(server.port);
  context.onEnd(() => watcher.close());
  for (let i = 0; i < WATCHES; i++) {
    watcher.open(pathOf(Watch.method.watch)).sendMessage(encode(WatchRequestSchema, {
      requestUnion: { case: "createRequest", value: { key: bytes("/load/"), rangeEnd: bytes("/load0") } },
    }));
  }
  await delay(LOAD_MS);
  const others = cluster.members.filter((other) => other !== server);
  const clients = await Promise.all(others.map(({ port }) => Client.open(port)));
  try {
    const beganMs = performance.now();
    server.signal("SIGTERM");
    const [leaderMs, stopMs] = await Promise.all([
      Promise.any(clients.map((client) => untilLeads(client))).then(() => performance.now() - beganMs),
      server.end.then((end) => {
        check(end.signal === "SIGTERM", `ended with ${end.code ?? end.signal}, and not by SIGTERM`);
        return performance.now() - beganMs;
      }),
    ]);
    return { member, leaderMs, stopMs };
  } finally {
    watcher.close();
    for (const client of clients) client.close();
  }
}

async function untilLeads(client: Client): Promise<void> {
  const deadlineMs = performance.now() + CALL_MS_MAX;
  while (performance.now() < deadlineMs) {
    const { leader, header } = await client.call(Maintenance.method.status, {});
    if (leader === header!.memberId) return;
    await delay(POLL_MS);
  }
  throw new Error(`it does not lead after ${CALL_MS_MAX} ms`);
}

/** Writers at every member, each with keys of its own, whose numbers grow. */
class Load {
  readonly #acknowledged: Map<string, number>;
  readonly #work: Promise<void>[] = [];
  #isStopped = false;
  #failures = 0;

  constructor(cluster: Cluster, acknowledged: Map<string, number>) {
    this.#acknowledged = acknowledged;
    for (const [member, { port }] of cluster.members.entries()) {
      for (let i = 0; i < WRITERS_PER_MEMBER; i++) this.#work.push(this.#write(port, `/load/${member}/${i}`));
    }
  }

  /** Returns how many calls were answered with an error, or not at all. */
  async stop(): Promise<number> {
    this.#isStopped = true;
    await within(CALL_MS_MAX, Promise.all(this.#work));
    return this.#failures;
  }

  async #write(port: number, name: string): Promise<void> {
    const client = await Client.open(port);
    // What was in doubt is overwritten, by a larger number.
    let number = this.#acknowledged.get(name) ?? 0;
    while (!this.#isStopped && !client.connection.isClosed) {
      number++;
      try {
        await client.call(KV.method.put, { key: bytes(name), value: bytes(String(number)) });
        this.#acknowledged.set(name, number);
      } catch (error) {
        check(error instanceof CallError, String(error));
        this.#failures++;
        await delay(POLL_MS);
      }
    }
    client.close();
  }
}

/** A key may hold a number that was never acknowledged, and no smaller one than that which was. */
async function checkAcknowledged(cluster: Cluster, acknowledged: ReadonlyMap<string, number>): Promise<void> {
  for (const { port } of cluster.members) {
    const client = await Client.open(port);
    for (const [name, number] of acknowledged) {
      const { kvs } = await client.call(KV.method.range, { key: bytes(name) });
      const found = kvs.length === 0 ? 0 : Number(new TextDecoder().decode(kvs[0]!.value));
      check(found >= number, `${name} was acknowledged as ${number} and is ${found}`);
    }
    client.close();
  }
}

function checkTimes(what: string, times: readonly number[], medianMs: number): string {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[sorted.length >> 1]!, longest = sorted.at(-1)!;
  const text = `${what} after ${median.toFixed(0)} ms (median; at most ${longest.toFixed(0)} ms)`;
  check(median <= medianMs, `${text}; ${medianMs} ms are promised`);
  check(longest <= medianMs * PATIENCE, `${text}; ${medianMs} ms are promised`);
  return text;
}
