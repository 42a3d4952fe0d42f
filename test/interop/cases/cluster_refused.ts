import type { Case, Context } from "../context.ts";
import { delay } from "../process.ts";
import { Cluster } from "../cluster/cluster.ts";
import type { Kind, Member } from "../cluster/member.ts";

const KINDS = ["etcd", "subject"] as const;
const WAIT_MS = 3_000;
const SAID_LENGTH = 160;

/** What became of a process, and what it says of it at the end. */
interface Outcome {
  /** Its exit code; "runs" if it goes on without serving anything. */
  readonly end: string;
  readonly said: string;
}

interface Refusal {
  readonly about: string;
  readonly ends: Readonly<Record<typeof KINDS[number], readonly string[]>>;
  /** What its log must say. */
  readonly says: Readonly<Record<typeof KINDS[number], RegExp>>;
  provoke(context: Context, kind: Kind, says: RegExp): Promise<Outcome>;
}

const both = <Value>(value: Value) => ({ etcd: value, subject: value });

const REFUSALS: readonly Refusal[] = [
  {
    about: "another cluster's token",
    ends: both(["runs"]),
    says: both(/request sent was ignored due to cluster ID mismatch|request cluster ID mismatch/),
    provoke: wrongToken,
  },
  {
    about: "a wiped member as new",
    ends: both(["exit 1"]),
    says: both(/has already been bootstrapped/),
    provoke: (context, kind, says) => wiped(context, kind, "new", says),
  },
  {
    // etcd lets it in, and panics over the first commit index that the leader sends.
    about: "a wiped member as existing",
    ends: { etcd: ["exit 2"], subject: ["exit 1"] },
    says: { etcd: /tocommit\(\d+\) is out of range/, subject: /it must not go on under its old identity/ },
    provoke: (context, kind, says) => wiped(context, kind, "existing", says),
  },
  {
    // With etcd it depends on how far the start has come when it hears of it.
    about: "a removed member that comes back",
    ends: both(["exit 0", "exit 1"]),
    says: both(/data-dir used by this member must be removed/),
    provoke: removed,
  },
  {
    about: "the name of another member",
    ends: both(["exit 1"]),
    says: both(/error validating peerURLs/),
    provoke: sameName,
  },
];

export const clusterRefused: Case = {
  name: "cluster_refused",
  about: "what etcd refuses to let into a cluster, and how a member refused ends, the same for both",
  async run(context) {
    const told: string[] = [];
    for (const { about, ends, says, provoke } of REFUSALS) {
      for (const kind of KINDS) {
        const { end, said } = await provoke(context, kind, says[kind]);
        if (!ends[kind].includes(end)) throw new Error(`${about}, ${kind}: ${end}, not ${ends[kind].join(" or ")}`);
        told.push(`${about}, ${kind}: ${end}, ${said}`);
      }
    }
    return told.join("\n      ");
  },
};

/** Members of both kinds refuse it; they have a majority without it. */
async function wrongToken(context: Context, kind: Kind, says: RegExp): Promise<Outcome> {
  const cluster = new Cluster(context);
  for (const each of ["etcd", "subject", kind] as const) cluster.place(each);
  const [a, b, stranger] = cluster.members as [Member, Member, Member];
  cluster.launch(a, "new");
  cluster.launch(b, "new");
  cluster.launch(stranger, "new", ["--initial-cluster-token", "another"]);
  await cluster.ready(a);
  return await outcome(cluster, stranger, [a, b], says);
}

async function wiped(context: Context, kind: Kind, state: "new" | "existing", says: RegExp): Promise<Outcome> {
  const cluster = await Cluster.start(context, ["etcd", "subject", kind]);
  const [a, b, victim] = cluster.members as [Member, Member, Member];
  // A leader that comes later would not know what the victim had acknowledged, and would let it catch up.
  await cluster.moveLeader(a);
  await victim.stop("SIGKILL");
  victim.wipe();
  cluster.launch(victim, state);
  return await outcome(cluster, victim, [a, b], says);
}

async function removed(context: Context, kind: Kind, says: RegExp): Promise<Outcome> {
  const cluster = await Cluster.start(context, ["etcd", "subject", "etcd", kind], {
    flags: ["--strict-reconfig-check=false"],
  });
  const victim = cluster.members.at(-1)!;
  await cluster.remove(victim);
  cluster.launch(victim, "new");
  return await outcome(cluster, victim, cluster.members, says);
}

async function sameName(context: Context, kind: Kind, says: RegExp): Promise<Outcome> {
  const cluster = await Cluster.start(context, ["etcd", "subject", "etcd"]);
  const others = [...cluster.members];
  const intruder = cluster.place(kind);
  cluster.launch(intruder, "existing", ["--name", others[0]!.name]);
  return await outcome(cluster, intruder, others, says);
}

/** The others go on as if nothing had been. */
async function outcome(
  cluster: Cluster,
  refused: Member,
  others: readonly Member[],
  says: RegExp,
): Promise<Outcome> {
  const serves = cluster.ready(refused).then(() => "serves", () => new Promise<string>(() => {}));
  const end = await Promise.race([
    refused.end.then(({ code, signal }) => `exit ${code ?? signal}`),
    serves,
    delay(WAIT_MS).then(() => "runs"),
  ]);
  await cluster.compare(others);
  await Promise.all([cluster.stop(), refused.stop("SIGKILL")]);
  const line = refused.lastLog().split("\n").findLast((each) => says.test(each));
  if (line === undefined) throw new Error(`${refused} does not say ${says}\n${refused.logTail()}`);
  return { end, said: message(line) };
}

/** What a line of a log says, without its fields. */
function message(line: string): string {
  if (!line.startsWith("{")) return line.slice(0, SAID_LENGTH);
  const { msg, error } = JSON.parse(line) as { msg: string; error?: string };
  return (error === undefined ? msg : `${msg}: ${error}`).slice(0, SAID_LENGTH);
}
