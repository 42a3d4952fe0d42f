/**
 * Members that are gone for ever, come back without their disk, were removed, belong elsewhere or are called like another
 * one: whoever must not take part is refused and told why, and the others take writes all the time.
 */
import { rmSync } from "node:fs";
import { bytes, Client } from "../client.ts";
import { type Case, check, type Context } from "../context.ts";
import { Cluster, CLUSTER_SIZE, withClient } from "../cluster/cluster.ts";
import { LocalNetwork } from "../cluster/local_network.ts";
import { delay, type Server, within } from "../server.ts";
import { Cluster as ClusterService, type Member } from "../../../src/gen/etcdserverpb/cluster_pb.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";

/** The member that things happen to. */
const VICTIM = 2;
const SURVIVORS = [0, 1];
const LOST_FOR_MS = 4000;
/** What was passed on to a leader that was killed is not answered soon: a client tries again. */
const TRY_MS_MAX = 1000;
/** A client of a member that is there gets its answer, if not at once: an election or two may come between. */
const SILENCE_MS_MAX = 5000;
const REFUSED_WITHIN_MS = 30_000;
const STRANGER_MS = 1500;
const FAILURE = 1;

export const clusterMembers: Case = {
  name: "cluster_members",
  about:
    "members lost for ever, wiped, removed, of another cluster, of the same name: refused and told why, the others go on",
  async run(context) {
    const scene = new MembersScene(context);
    await scene.cluster.start();
    const writers = new Writers(scene.cluster, SURVIVORS);
    const steps: [name: string, run: () => Promise<void>][] = [
      ["a wiped disk", () => scene.wiped()],
      ["a process of another cluster at its address", () => scene.stranger()],
      ["the remedy for a wiped disk", () => scene.replaced()],
      ["a removed member that comes back", () => scene.removed()],
      ["two members of one name", () => scene.sameName()],
      ["a minority that is lost for ever", () => scene.lost()],
    ];
    for (const [name, run] of steps) {
      try {
        await run();
        await scene.cluster.works(SURVIVORS);
        writers.check();
      } catch (error) {
        throw new Error(`${name}: ${(error as Error).message}`);
      }
    }
    const { count, failures, longestMs } = await writers.stop();
    return `${steps.length} ways to be no member; beside them ${count} puts, ${failures} of them tried again, ` +
      `at most ${longestMs.toFixed(0)} ms without one`;
  },
};

class MembersScene {
  readonly cluster: Cluster;
  readonly #context: Context;
  readonly #network: LocalNetwork;
  #newcomers = 0;
  #removed: Server | undefined;
  #second: Server | undefined;

  constructor(context: Context) {
    this.#context = context;
    // One place more, for newcomers.
    this.#network = new LocalNetwork(context, CLUSTER_SIZE + 1);
    // Changes of the membership need not wait until all members have been connected for 5 s.
    this.cluster = new Cluster(context, this.#network, { name: "member", flags: ["--strict-reconfig-check=false"] });
  }

  /** What it voted for and what it acknowledged is forgotten: it must not go on as the one it was. */
  async wiped(): Promise<void> {
    const victim = this.cluster.members[VICTIM]!;
    await this.cluster.kill(VICTIM);
    rmSync(victim.dataDirectory, { recursive: true });
    for (const state of ["new", "existing"]) {
      const server = this.#newcomer("m2", VICTIM, this.#initialCluster(), state);
      await refused(server, /has already been bootstrapped/);
    }
  }

  async stranger(): Promise<void> {
    const url = this.#network.peerUrlOf(VICTIM);
    const server = this.#newcomer("m2", VICTIM, `m2=${url}`, "new");
    await server.start();
    await withClient(server, (client) => client.call(KV.method.put, { key: bytes("/stranger"), value: bytes("here") }));
    await delay(STRANGER_MS);
    check(server.isRunning, `the stranger has ended: ${server.lastLogLine()}`);
    const heard = this.cluster.members.some((member) =>
      member.logLines().some((line) => /cluster ID mismatch/.test(line))
    );
    check(heard, "nobody says that somebody of another cluster is there");
    await server.stop("SIGKILL");
    const { kvs } = await withClient(
      this.cluster.members[0]!,
      (client) => client.call(KV.method.range, { key: bytes("/stranger") }),
    );
    check(kvs.length === 0, "what was written to the other cluster is in this one");
  }

  /** Removed, added again with a new identity, and started with nothing. */
  async replaced(): Promise<void> {
    const url = this.#network.peerUrlOf(VICTIM);
    await this.#remove(url);
    await this.#add(url);
    const server = this.#newcomer("m2", VICTIM, this.#initialCluster(), "existing");
    await server.start();
    await this.#remove(url);
    check((await within(REFUSED_WITHIN_MS, server.end)).code === 0, "a member that was removed ends with an error");
    this.#removed = server;
  }

  /** With its data, which still says that it is a member. */
  async removed(): Promise<void> {
    await refused(this.#removed!, /removed/);
  }

  async sameName(): Promise<void> {
    const url = this.#network.peerUrlOf(CLUSTER_SIZE);
    // The members it names are others than those that it says it is one of.
    const both = `${this.#initialCluster()},m1=${url}`;
    await refused(this.#newcomer("m1", CLUSTER_SIZE, both, "new"), /--initial-cluster has m1=/);
    // Names are for people: one that was added as it should be takes part, whatever it is called.
    await this.#add(url);
    const others = SURVIVORS.filter((member) => member !== 1).map((member) => this.#named(member));
    const server = this.#newcomer(
      "m1",
      CLUSTER_SIZE,
      [...others, `second=${this.#network.peerUrlOf(1)}`, `m1=${url}`].join(","),
      "existing",
    );
    await server.start();
    const names = (await this.#list()).map(({ name }) => name);
    check(names.filter((name) => name === "m1").length === 2, `the members are called ${names.join(", ")}`);
    this.#second = server;
  }

  async lost(): Promise<void> {
    await this.#second!.stop("SIGKILL");
    await delay(LOST_FOR_MS);
  }

  #initialCluster(): string {
    return [0, 1, 2].map((member) => this.#named(member)).join(",");
  }

  #named(member: number): string {
    return `m${member}=${this.#network.peerUrlOf(member)}`;
  }

  /** A process with an empty directory of its own, at the address of a member. */
  #newcomer(name: string, place: number, initialCluster: string, state: string): Server {
    const url = this.#network.peerUrlOf(place);
    return this.#context.server({
      name: `newcomer-${++this.#newcomers}`,
      flags: [
        ...["--name", name, "--initial-cluster", initialCluster, "--initial-cluster-state", state],
        ...["--initial-cluster-token", "member", "--listen-peer-urls", url, "--initial-advertise-peer-urls", url],
      ],
    });
  }

  async #list(): Promise<Member[]> {
    const { members } = await withClient(
      this.cluster.members[0]!,
      (client) => client.call(ClusterService.method.memberList, {}),
    );
    return members;
  }

  async #remove(url: string): Promise<void> {
    const member = (await this.#list()).find(({ peerURLs }) => peerURLs.includes(url));
    check(member !== undefined, `nobody has ${url}`);
    await withClient(
      this.cluster.members[0]!,
      (client) => client.call(ClusterService.method.memberRemove, { ID: member.ID }),
    );
  }

  async #add(url: string): Promise<void> {
    await withClient(
      this.cluster.members[0]!,
      (client) => client.call(ClusterService.method.memberAdd, { peerURLs: [url] }),
    );
  }
}

async function refused(server: Server, reason: RegExp): Promise<void> {
  server.spawn();
  const end = await within(REFUSED_WITHIN_MS, server.end);
  const lines = server.logLines();
  check(end.code === FAILURE, `it ended with ${end.code ?? end.signal}: ${lines.at(-1)}`);
  check(lines.slice(-3).some((line) => reason.test(line)), `its last lines do not say ${reason}: ${lines.at(-1)}`);
}

/** One writer for each of these members, which tries again what fails. */
class Writers {
  readonly #work: Promise<void>[];
  readonly #clients: Client[] = [];
  #isStopped = false;
  #count = 0;
  #failures = 0;
  #longestMs = 0;
  #isLost = false;

  constructor(cluster: Cluster, members: readonly number[]) {
    this.#work = members.map((member) => this.#write(cluster.members[member]!, `/writer/${member}`));
  }

  check(): void {
    check(!this.#isLost, "a connection to a member that was left alone is lost");
    check(this.#longestMs < SILENCE_MS_MAX, `a client waited ${this.#longestMs.toFixed(0)} ms`);
  }

  async stop(): Promise<{ count: number; failures: number; longestMs: number }> {
    this.#isStopped = true;
    await Promise.all(this.#work);
    for (const client of this.#clients) client.close();
    this.check();
    return { count: this.#count, failures: this.#failures, longestMs: this.#longestMs };
  }

  async #write(server: Server, key: string): Promise<void> {
    const client = await Client.open(server.port);
    this.#clients.push(client);
    let lastMs = performance.now();
    while (!this.#isStopped && !client.connection.isClosed) {
      try {
        await within(TRY_MS_MAX, client.call(KV.method.put, { key: bytes(key), value: bytes("x") }));
        this.#count++;
        this.#longestMs = Math.max(this.#longestMs, performance.now() - lastMs);
        lastMs = performance.now();
      } catch {
        this.#failures++;
      }
      await delay(5);
    }
    this.#isLost ||= !this.#isStopped;
  }
}
