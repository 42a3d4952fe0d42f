/** Members of one cluster, as processes. */
import { bytes, Client } from "../client.ts";
import { check, type Context } from "../context.ts";
import { delay, type End, type Server, within } from "../server.ts";
import type { ClusterNetwork } from "./network.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance, type StatusResponse } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

export const CLUSTER_SIZE = 3;

/** The member that runs another program, if there is one. */
const GUEST = 0;

const POLL_MS = 20;
const ANSWER_MS_MAX = 1000;
/** For a cluster with a majority to have a leader and take writes: a few elections, on a machine with little time for them. */
const WORKS_WITHIN_MS = 20_000;
/** Small enough for members that were away to need a snapshot. */
const LOG_FLAGS = ["--snapshot-count=400", "--snapshot-catchup-entries=100"];

export interface ClusterOptions {
  /** Below the case's directory, and before the members' numbers. */
  readonly name?: string;
  readonly flags?: readonly string[];
  /** More for single members. */
  readonly flagsOf?: (member: number) => readonly string[];
  /** Where a member has its data; what runs before its command, to get there. */
  readonly placeOf?: (member: number) => { dataDirectory: string; wrapper: readonly string[] } | undefined;
}

export class Cluster {
  readonly network: ClusterNetwork;
  readonly members: readonly Server[];

  constructor(context: Context, network: ClusterNetwork, options: ClusterOptions = {}) {
    const name = options.name ?? "member";
    const all = Array.from({ length: CLUSTER_SIZE }, (_, i) => i);
    const initialCluster = all.map((i) => `m${i}=${network.peerUrlOf(i)}`).join(",");
    this.network = network;
    this.members = all.map((i) =>
      context.server({
        name: `${name}-${i}`,
        command: i === GUEST ? context.settings.guest : undefined,
        host: network.hostOf(i),
        wrapper: [...network.wrapperOf(i), ...(options.placeOf?.(i)?.wrapper ?? [])],
        dataDirectory: options.placeOf?.(i)?.dataDirectory,
        flags: [
          ...["--name", `m${i}`, "--initial-cluster", initialCluster, "--initial-cluster-token", name],
          ...["--listen-peer-urls", network.listenPeerUrlOf(i)],
          ...["--initial-advertise-peer-urls", network.peerUrlOf(i)],
          ...LOG_FLAGS,
          ...(options.flags ?? []),
          ...(options.flagsOf?.(i) ?? []),
        ],
      })
    );
  }

  get endpoints(): string[] {
    return this.members.map(({ host, port }) => `${host}:${port}`);
  }

  /** Starts every member, and returns once each answers a linearizable read. */
  async start(): Promise<void> {
    for (const member of this.members) member.spawn();
    await Promise.all(this.members.map((member) => member.ready()));
  }

  async kill(...members: number[]): Promise<End[]> {
    return await Promise.all(members.map((member) => this.members[member]!.stop("SIGKILL")));
  }

  /** The member that says it leads, of those the one with the highest term; undefined if none does. */
  async leader(): Promise<number | undefined> {
    const states = await Promise.all(this.members.map((member) => statusOf(member)));
    let leader: number | undefined, term = 0n;
    for (const [i, status] of states.entries()) {
      if (status === undefined || status.leader === 0n || status.leader !== status.header!.memberId) continue;
      if (status.raftTerm > term) [leader, term] = [i, status.raftTerm];
    }
    return leader;
  }

  async untilLeader(): Promise<number> {
    const deadlineMs = performance.now() + WORKS_WITHIN_MS;
    while (performance.now() < deadlineMs) {
      const leader = await this.leader();
      if (leader !== undefined) return leader;
      await delay(POLL_MS);
    }
    throw new Error(`no leader within ${WORKS_WITHIN_MS} ms`);
  }

  /** Returns once each of these members has had a write acknowledged; throws if that takes too long. */
  async works(members: readonly number[] = [...this.members.keys()]): Promise<void> {
    const deadlineMs = performance.now() + WORKS_WITHIN_MS;
    for (const member of members) {
      while (!(await hasPut(this.members[member]!))) {
        const { isRunning } = this.members[member]!;
        check(isRunning, `member ${member} has ended: ${this.members[member]!.lastLogLine()}`);
        check(performance.now() < deadlineMs, `member ${member} takes no writes after ${WORKS_WITHIN_MS} ms`);
        await delay(POLL_MS);
      }
    }
  }
}

/** Undefined where none is to be had soon. */
export async function statusOf(server: Server): Promise<StatusResponse | undefined> {
  if (!server.isRunning) return undefined;
  return await withClient(server, (client) => client.call(Maintenance.method.status, {})).catch(() => undefined);
}

/** One call on a connection of its own, which must be answered soon. */
export async function withClient<T>(server: Server, call: (client: Client) => Promise<T>): Promise<T> {
  const client = await within(ANSWER_MS_MAX, Client.open(server.port, { host: server.host }));
  try {
    return await within(ANSWER_MS_MAX, call(client));
  } finally {
    client.close();
  }
}

async function hasPut(server: Server): Promise<boolean> {
  return await withClient(server, (client) => client.call(KV.method.put, { key: bytes("/works"), value: bytes("yes") }))
    .then(() => true, () => false);
}
