/** Three members on this machine, and members that join them. */
import { executeOrThrow, Server, type ServerKind } from "../interop/process.ts";
import { programPath } from "../interop/tools.ts";

const MEMBER_COUNT = 3;

export interface ClusterOptions {
  readonly kind: ServerKind;
  readonly command: string;
  readonly directory: string;
  /** Each member takes two ports, one for clients and one for its peers. */
  readonly firstPort: number;
}

export class Cluster {
  readonly members: Server[] = [];
  readonly #options: ClusterOptions;
  readonly #peerUrls: string[] = [];

  constructor(options: ClusterOptions) {
    this.#options = options;
    for (let at = 0; at < MEMBER_COUNT; at++) this.#peerUrls.push(this.#peerUrl(at));
    for (let at = 0; at < MEMBER_COUNT; at++) this.members.push(this.#member(at, "new"));
  }

  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop(signal)));
  }

  async leader(): Promise<Server> {
    const { stdout } = await this.etcdctl(["endpoint", "status", "-w", "json"]);
    // Ids have 64 bits, more than a parsed number keeps.
    const ids = [...stdout.matchAll(/"member_id":(\d+)/g)].map((found) => found[1]!);
    const leaders = new Set([...stdout.matchAll(/"leader":(\d+)/g)].map((found) => found[1]!));
    const member = this.members[ids.indexOf([...leaders][0] ?? "")];
    if (ids.length !== this.members.length || leaders.size !== 1 || member === undefined) {
      throw new Error(`the members of ${this.#options.kind} do not agree on a leader: ${stdout}`);
    }
    return member;
  }

  /** A new voter: known to the cluster when this returns, but not started. */
  async add(): Promise<Server> {
    const at = this.members.length;
    await this.etcdctl(["member", "add", memberName(at), "--peer-urls", this.#peerUrl(at)]);
    this.#peerUrls.push(this.#peerUrl(at));
    const member = this.#member(at, "existing");
    this.members.push(member);
    return member;
  }

  etcdctl(args: string[]) {
    const endpoints = this.members.map((member) => member.endpoint).join(",");
    return executeOrThrow(programPath("etcdctl"), ["--endpoints", endpoints, "--command-timeout", "30s", ...args]);
  }

  logTail(): string {
    return this.members.map((member) => member.logTail()).join("");
  }

  #member(at: number, state: "new" | "existing"): Server {
    const { firstPort, ...options } = this.#options;
    const initialCluster = this.#peerUrls.map((url, at) => `${memberName(at)}=${url}`).join(",");
    return new Server({
      ...options,
      clientPort: firstPort + 2 * at,
      peerPort: firstPort + 2 * at + 1,
      readyTimeoutMs: READY_TIMEOUT_MS,
      flags: ["--name", memberName(at), "--initial-cluster", initialCluster, "--initial-cluster-state", state],
    });
  }

  #peerUrl(at: number): string {
    return `http://127.0.0.1:${this.#options.firstPort + 2 * at + 1}`;
  }
}

/** A member that joins is ready when it has received the whole state; a slow machine takes its time with a million keys. */
const READY_TIMEOUT_MS = 300_000;

const memberName = (at: number) => `member-${at + 1}`;
