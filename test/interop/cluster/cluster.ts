/** A cluster of several programs on loopback, and what an operator does to one. */
import type { Context } from "../context.ts";
import { delay, executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import { gateway } from "./gateway.ts";
import { type Kind, Member } from "./member.ts";

const WAIT_MS = 30_000;
const POLL_MS = 50;

export interface MemberInfo {
  readonly ID: string;
  readonly name?: string;
  readonly peerURLs: string[];
  readonly clientURLs?: string[];
  readonly isLearner?: boolean;
}

export interface Status {
  readonly header: { readonly member_id: string; readonly revision?: string };
  readonly leader?: string;
  readonly raftIndex?: string;
  readonly raftAppliedIndex?: string;
  readonly raftTerm?: string;
  readonly isLearner?: boolean;
  readonly version?: string;
  readonly storageVersion?: string;
  readonly dbSize?: string;
  readonly errors?: string[];
}

export interface ClusterOptions {
  /** Of every member. */
  readonly flags?: readonly string[];
  readonly token?: string;
}

export class Cluster {
  readonly members: Member[] = [];
  readonly #context: Context;
  readonly #token: string;
  readonly #flags: readonly string[];

  constructor(context: Context, options: ClusterOptions = {}) {
    this.#context = context;
    this.#token = options.token ?? `interop-${context.settings.port}`;
    this.#flags = options.flags ?? [];
  }

  /** Starts a new cluster, a member of each of these kinds, and waits until all of them serve. */
  static async start(context: Context, kinds: readonly Kind[], options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = new Cluster(context, options);
    for (const kind of kinds) cluster.place(kind);
    for (const member of cluster.members) cluster.launch(member, "new");
    for (const member of cluster.members) await cluster.ready(member);
    return cluster;
  }

  get endpoints(): string[] {
    return this.members.map((member) => member.endpoint);
  }

  get initialCluster(): string {
    return this.members.map((member) => `${member.name}=${member.peerUrl}`).join(",");
  }

  /** Makes room for another member, which is not started. */
  place(kind: Kind): Member {
    const member = this.#context.adopt(
      new Member({
        name: `m${this.#context.takePort()}`,
        directory: this.#context.directory,
        clientPort: this.#context.takePort(),
        peerPort: this.#context.takePort(),
        subject: this.#context.settings.subject,
      }, kind),
    );
    this.members.push(member);
    return member;
  }

  launch(member: Member, state: "new" | "existing", flags: readonly string[] = []): void {
    member.launch({
      initialCluster: this.initialCluster,
      state,
      token: this.#token,
      flags: [...this.#flags, ...flags],
    });
  }

  /** Starts it, as whatever kind it now is, and waits until it serves. */
  async restart(member: Member, state: "new" | "existing" = "new"): Promise<void> {
    this.launch(member, state);
    await this.ready(member);
  }

  /** Until the member answers a linearizable read. */
  async ready(member: Member): Promise<void> {
    const ready = executeOrThrow(programPath("load"), [
      ...["ready", "--endpoint", member.endpoint, "--timeout", `${WAIT_MS}ms`],
    ]).then(() => undefined, () => `${member} serves nothing after ${WAIT_MS / 1000} s`);
    const ended = member.end.then(({ code, signal }) => `${member} has ended: ${code ?? signal}`);
    const failure = await Promise.race([ready, ended]);
    if (failure !== undefined) throw new Error(`${failure}\n${member.logTail()}`);
  }

  /** Until the member, a learner perhaps, has a leader and has applied all that the leader has. */
  async caughtUp(member: Member): Promise<void> {
    await until(`${member} has caught up`, async () => {
      const leader = await this.leader();
      const { raftAppliedIndex: head } = await this.status(leader);
      const own = await this.status(member);
      return own.leader !== undefined && own.leader !== "0" && Number(own.raftAppliedIndex ?? 0) >= Number(head);
    }, () => member.logTail());
  }

  /** Ends all processes at once: nothing is asked of the cluster any more. */
  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop("SIGKILL")));
  }

  status(member: Member): Promise<Status> {
    return gateway<Status>(member.clientUrl, "maintenance/status", {});
  }

  /** The member that a majority takes for the leader, once there is one that says so itself. */
  async leader(): Promise<Member> {
    let leader: Member | undefined;
    await until("there is a leader", async () => {
      for (const member of this.members) {
        if (!member.isRunning) continue;
        const status = await this.status(member).catch(() => undefined);
        if (status?.leader !== undefined && status.leader === status.header.member_id) leader = member;
      }
      return leader !== undefined;
    }, () => this.members.map((member) => member.logTail(8)).join(""));
    return leader!;
  }

  async idOf(member: Member): Promise<string> {
    return (await this.status(member)).header.member_id;
  }

  /** Hands leadership over as `etcdctl move-leader` does, and waits until the member leads. */
  async moveLeader(to: Member): Promise<void> {
    await until(`${to} leads`, async () => {
      const leader = await this.leader();
      if (leader === to) return true;
      await gateway(leader.clientUrl, "maintenance/transfer-leadership", { targetID: await this.idOf(to) }).catch(
        () => undefined, // Another election may be under way.
      );
      return false;
    }, () => to.logTail());
  }

  /** The list as one of the running members has it, asked linearizably. */
  async list(): Promise<MemberInfo[]> {
    return (await this.ask<{ members: MemberInfo[] }>("cluster/member/list", { linearizable: true })).members;
  }

  /** Asks any running member, and another one if that cannot answer. */
  async ask<Answer>(path: string, request: unknown): Promise<Answer> {
    let answer: Answer | undefined, failure: unknown;
    await until(path, async () => {
      for (const member of this.members) {
        if (!member.isRunning) continue;
        try {
          answer = await gateway<Answer>(member.clientUrl, path, request);
          return true;
        } catch (error) {
          failure = error;
        }
      }
      return false;
    }, () => String(failure));
    return answer!;
  }

  /** Adds an empty member of this kind, as a learner or not, and starts it; it may not have caught up yet. */
  async add(kind: Kind, isLearner: boolean = false): Promise<Member> {
    const member = this.place(kind);
    await this.ask("cluster/member/add", { peerURLs: [member.peerUrl], isLearner });
    this.launch(member, "existing");
    return member;
  }

  /** Takes the member out of the cluster for ever, and waits until its process has ended by itself. */
  async remove(member: Member): Promise<void> {
    const id = (await this.list()).find(({ peerURLs }) => peerURLs.includes(member.peerUrl))!.ID;
    this.members.splice(this.members.indexOf(member), 1);
    await this.ask("cluster/member/remove", { ID: id });
    const timer = setTimeout(() => void member.stop("SIGKILL"), WAIT_MS);
    const { signal } = await member.end;
    clearTimeout(timer);
    if (signal === "SIGKILL") throw new Error(`${member}, removed, has not ended by itself\n${member.logTail()}`);
  }

  /** Until the learner has caught up enough that the cluster lets it vote. */
  async promote(member: Member): Promise<void> {
    const id = await this.idOf(member);
    await this.ask("cluster/member/promote", { ID: id });
  }

  /** Throws unless all have the same hash at one revision and the same members. Returns what they agree upon. */
  async compare(members: readonly Member[] = this.members): Promise<string> {
    const endpoints = members.map((member) => member.endpoint).join(",");
    const { stdout } = await executeOrThrow(programPath("traffic"), ["compare", "--endpoints", endpoints]).catch(
      (error: Error) => {
        throw new Error(`${members.join(", ")} differ\n${error.message}`);
      },
    );
    return stdout.trim();
  }
}

/** Polls until it is so; what is shown if it never is comes from `explain`. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  explain: () => string = () => "",
): Promise<void> {
  let failure = "";
  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs; await delay(POLL_MS)) {
    try {
      if (await isSo()) return;
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
  }
  throw new Error(`not after ${WAIT_MS / 1000} s: ${what}\n${failure}\n${explain()}`);
}
