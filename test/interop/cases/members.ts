import { request } from "node:http";
import { type Case, type Context, expectEqual } from "../context.ts";
import { delay, etcdCommand, execute, Server, type ServerKind } from "../process.ts";
import { programPath } from "../tools.ts";

/** Clusters of three, etcd's and ours, one after the other at the same addresses, so that their ids are the same. */
export const members: Case = {
  name: "members",
  about:
    "members added, promoted, updated and removed, the leadership moved, and what members ask each other, as by etcd",
  async run(context) {
    const ports = Array.from({ length: 8 }, () => context.takePort());
    const expected = await tellOf(context, "etcd", ports);
    const actual = await tellOf(context, "subject", ports);
    expectEqual("a story of members", expected.join("\n"), actual.join("\n"));
    return `${expected.length} lines`;
  },
};

interface Machine {
  readonly name: string;
  readonly server: Server;
  readonly peerUrl: string;
}

async function tellOf(context: Context, kind: ServerKind, ports: readonly number[]): Promise<string[]> {
  const machine = (i: number, flags: string[]): Machine => {
    const [clientPort, peerPort] = [ports[2 * i], ports[2 * i + 1]];
    const command = kind === "etcd" ? etcdCommand() : context.settings.subject;
    const name = `m${i + 1}`;
    const options = { kind, command, directory: context.directory, clientPort, peerPort };
    const server = context.adopt(new Server({ ...options, flags: ["--name", name, ...flags] }));
    return { name, server, peerUrl: `http://127.0.0.1:${peerPort}` };
  };
  const initial = [0, 1, 2].map((i) => `m${i + 1}=http://127.0.0.1:${ports[2 * i + 1]}`).join(",");
  const machines = [0, 1, 2].map((i) => machine(i, ["--initial-cluster", initial]));
  await Promise.all(machines.map(({ server }) => server.start()));
  const story = new Story(machines);
  await story.settle();
  await story.tell();
  const joining = `${initial},m4=http://127.0.0.1:${ports[7]}`;
  await story.tellOfLearner(machine(3, ["--initial-cluster", joining, "--initial-cluster-state", "existing"]));
  await Promise.all(story.machines.map(({ server }) => server.stop("SIGKILL")));
  return story.lines;
}

/** Members are healthy when they have been within reach for five seconds; and the version is agreed on by then. */
const HEALTHY_MS = 8000;

class Story {
  readonly machines: Machine[];
  readonly lines: string[] = [];
  /** Members whose ids come from the time they were added at, by what they are called here. */
  readonly #ids = new Map<string, string>();

  constructor(machines: Machine[]) {
    this.machines = machines;
  }

  /** The first leads, from now on. */
  async settle(): Promise<void> {
    await delay(HEALTHY_MS);
    const [first] = this.machines;
    const { ID, leader } = await this.#status(first);
    const id = BigInt(ID).toString(16);
    this.#ids.set("leader", id);
    if (ID === leader) return;
    await etcdctl((await this.#machineOf(leader)).server, ["move-leader", id]);
    await delay(500);
  }

  async tell(): Promise<void> {
    const [leader, follower] = this.machines;
    const peerUrls = ["--peer-urls", "http://127.0.0.1:9"];
    for (const format of ["simple", "json", "table", "fields"]) {
      await this.#do(leader, ["member", "list", "-w", format]);
    }
    await this.#do(follower, ["member", "list", "--consistency=s"]);
    await this.#do(follower, ["endpoint", "health", "--cluster"]);
    await this.#do(follower, ["member", "add", "late", "--learner", ...peerUrls]);
    await this.#know(follower, "late", peerUrls[1]);
    for (const through of [leader, follower]) {
      await this.#do(through, ["member", "promote", "late"]);
      await this.#do(through, ["member", "promote", "leader"]);
      await this.#do(through, ["member", "promote", "77"]);
      await this.#do(through, ["member", "update", "77", ...peerUrls]);
      await this.#do(through, ["member", "remove", "77"]);
      await this.#do(through, ["member", "add", "more", "--learner", "--peer-urls", "http://127.0.0.1:8"]);
      await this.#do(through, ["member", "add", "more", "--peer-urls", leader.peerUrl]);
      await this.#do(through, ["move-leader", "77"]);
      await this.#do(through, ["move-leader", "late"]);
    }
    await this.#do(follower, ["member", "update", "late", "--peer-urls", leader.peerUrl]);
    await this.#do(follower, ["member", "update", "late", "--peer-urls", "http://127.0.0.1:7"]);
    await this.#do(leader, ["member", "list"]);
    await this.#do(follower, ["member", "remove", "late", "-w", "json"]);
    await this.#do(follower, ["member", "remove", "late"]);
    await this.#do(leader, ["member", "add", "unheard", "-w", "json", "--peer-urls", "http://127.0.0.1:6"]);
    await this.#know(leader, "unheard", "http://127.0.0.1:6");
    await this.#do(leader, ["member", "add", "another", "--peer-urls", "http://127.0.0.1:8"]);
    await this.#know(leader, "another", "http://127.0.0.1:8");
    await this.#do(leader, ["member", "add", "more", "--peer-urls", "http://127.0.0.1:7"]);
    for (const name of ["leader", "unheard", "another"]) await this.#do(leader, ["member", "remove", name]);
    for (const [key, value] of [["a", "1"], ["b", "2"], ["a", "3"]]) await this.#do(leader, ["put", key, value]);
    await this.#do(leader, ["compaction", "3", "--physical"]);
    for (const machine of [leader, follower]) await this.#askPeer(machine);
  }

  /** A learner that starts, catches up, and gets a vote; then the leader goes for good. */
  async tellOfLearner(machine: Machine): Promise<void> {
    const [leader, follower, third] = this.machines;
    await this.#do(follower, ["member", "add", machine.name, "--learner", "--peer-urls", machine.peerUrl]);
    await this.#know(follower, "learner", machine.peerUrl);
    this.machines.push(machine);
    // It answers no linearizable read, so it is not waited for until it votes. etcd takes seconds for its storage version.
    const started = machine.server.start();
    started.catch(() => {});
    await delay(6000);
    await this.#do(machine, ["get", "a", "--consistency=s"]);
    await this.#do(machine, ["get", "a"]);
    await this.#do(machine, ["put", "a", "9"]);
    await this.#do(machine, ["member", "list"]);
    await this.#do(machine, ["endpoint", "hashkv"]);
    await this.#do(machine, ["lease", "keep-alive", "--once", "77"]);
    await this.#do(leader, ["move-leader", "learner"]);
    await this.#askPeer(machine);
    await this.#do(third, ["member", "promote", "learner"]);
    await this.#do(third, ["member", "promote", "learner"]);
    await started;
    await this.#do(machine, ["put", "a", "10"]);
    await this.#do(machine, ["member", "list", "-w", "table"]);
    await delay(HEALTHY_MS);
    await this.#do(leader, ["member", "remove", "leader"]);
    await delay(3500);
    await this.#do(machine, ["put", "a", "11"]);
    await this.#do(follower, ["member", "list"]);
    await this.#do(follower, ["member", "promote", "leader"]);
    await this.#do(follower, ["member", "remove", "leader"]);
  }

  /** What members ask each other. */
  async #askPeer({ peerUrl, name }: Machine): Promise<void> {
    const { id } = this.#lookUp("leader");
    for (
      const [method, path, body] of [
        ["GET", "/members", ""],
        ["POST", "/members", ""],
        ["GET", "/version", ""],
        ["GET", "/downgrade/enabled", ""],
        ["GET", "/members/hashkv", "{}"],
        ["GET", "/members/hashkv", `{"revision":2}`],
        ["GET", "/members/hashkv", `{"revision":4}`],
        ["GET", "/members/hashkv", `{"revision":40}`],
        ["POST", `/members/promote/${BigInt(`0x${id}`)}`, ""],
        ["POST", "/members/promote/77", ""],
        ["POST", "/members/promote/x", ""],
        ["POST", "/leases", "\x08\x07"],
        ["POST", "/leases/internal", "\x0a\x02\x08\x07"],
        ["POST", "/leases/internal", "\xff"],
        ["GET", "/nothing", ""],
      ] as const
    ) this.#note(`${name}: ${method} ${path} ${JSON.stringify(body)}\n${await ask(peerUrl, method, path, body)}`);
  }

  /** Runs etcdctl, in whose words members may be called by what they are here. */
  async #do({ server, name }: Machine, words: string[]): Promise<void> {
    const told = `${name}: ${words.join(" ")}`;
    const { code, stdout, stderr } = await etcdctl(server, words.map((word) => this.#lookUp(word).id));
    // The client's own log lines have addresses of the moment.
    const errors = stderr.split("\n").filter((line) => !line.startsWith("{")).join("\n");
    this.#note(`${told} (${code})\n${stdout}${errors}`.replaceAll(/took = [\d.]+m?s/g, "took"));
  }

  async #know(machine: Machine, as: string, peerUrl: string): Promise<void> {
    const { stdout } = await etcdctl(machine.server, ["member", "list"]);
    const line = stdout.split("\n").find((line) => line.includes(peerUrl));
    if (line === undefined) throw new Error(`nobody has the address ${peerUrl}:\n${stdout}`);
    this.#ids.set(as, line.split(",", 1)[0]);
  }

  #lookUp(word: string): { readonly id: string } {
    return { id: this.#ids.get(word) ?? word };
  }

  #note(text: string): void {
    let noted = text;
    for (const [name, id] of this.#ids) {
      noted = noted.replaceAll(id, `<${name}>`).replaceAll(String(BigInt(`0x${id}`)), `<${name}>`);
    }
    this.lines.push(...withoutChance(noted).split("\n"));
  }

  async #machineOf(id: string): Promise<Machine> {
    for (const machine of this.machines) if ((await this.#status(machine)).ID === id) return machine;
    throw new Error(`no member has the id ${id}`);
  }

  async #status({ server }: Machine): Promise<{ readonly ID: string; readonly leader: string }> {
    const { stdout } = await etcdctl(server, ["endpoint", "status", "-w", "fields"]);
    const field = (name: string): string => new RegExp(`"${name}" : (\\d+)`).exec(stdout)![1];
    return { ID: field("MemberID"), leader: field("Leader") };
  }
}

/**
 * Ids that come from the time put members in another order, and may be a digit shorter; and the id of a new one is known
 * only after it was added.
 */
function withoutChance(text: string): string {
  return text
    .replaceAll(/ +/g, " ")
    .replaceAll(/─+/g, "─")
    .replace(/Member [0-9a-f]+ added/, "Member added")
    .replaceAll(/("raft_term":|"RaftTerm" : )\d+/g, "$1<term>")
    .replace(/("member":\{"ID":)\d+/, "$1<new>")
    .replace(/(?<=ETCD_INITIAL_CLUSTER=")[^"]*/, (members) => members.split(",").sort().join(","))
    .replace(/(?<=\[\{).*(?=\}\])/, (members) => members.split("},{").map(withoutNewId).sort().join("},{"))
    .replace(
      /^(.*(, (un)?started, | is healthy: ).*\n)+/m,
      (lines) => lines.trimEnd().split("\n").sort().join("\n") + "\n",
    )
    .replace(/^(│ .*started.*\n)+/m, (lines) => lines.trimEnd().split("\n").sort().join("\n") + "\n");
}

function withoutNewId(member: string): string {
  return member.includes(`"name"`) ? member : member.replace(/"ID":\d+/, `"ID":<new>`);
}

function etcdctl({ endpoint }: Server, words: string[]) {
  return execute(programPath("etcdctl"), ["--endpoints", endpoint, ...words], { timeoutMs: 20_000 });
}

/** The answer as text: status, type, body. */
function ask(peerUrl: string, method: string, path: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": body.length };
    const call = request(`${peerUrl}${path}`, { method, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const type = response.headers["content-type"];
        resolve(`${response.statusCode} ${type} ${JSON.stringify(Buffer.concat(chunks).toString("latin1"))}`);
      });
    });
    call.once("error", reject);
    call.end(Buffer.from(body, "latin1"));
  });
}
