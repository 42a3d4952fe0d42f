/**
 * Strangers and impostors at the peer port of a leader and of a follower: garbage, lies, floods, messages from the future.
 * After each, every process is there, every member takes writes, what was written is there, and memory is within bounds.
 */
import { bytes, text } from "../client.ts";
import { type Case, check, type Context, megabytes, type Random } from "../context.ts";
import { Cluster, CLUSTER_SIZE, withClient } from "../cluster/cluster.ts";
import { bytesOf, chunk, flood, Intruder, learn, snapshotHead } from "../cluster/intruder.ts";
import { LocalNetwork } from "../cluster/local_network.ts";
import process from "node:process";
import { delay } from "../server.ts";
import { writeMessage } from "../../../src/peer/codec/mod.ts";
import { EntryType, MessageType, type Snapshot } from "../../../src/raft/mod.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";

const MEMORY_GROWTH_MAX = 400 << 20;
const CROWD = 300;
const ENDLESS_SIZE = 300 << 20;
const FUTURE_TERMS = 1000;
const FUTURE_INDEX = 1_000_000_000_000;
const PROOFS = 20;

interface Attack {
  readonly name: string;
  run(intruder: Intruder, random: Random): Promise<void>;
}

const ATTACKS: readonly Attack[] = [
  {
    name: "garbage",
    async run(intruder, random) {
      for (let i = 0; i < 20; i++) await intruder.open(random.bytes(5000));
      await delay(100);
    },
  },
  {
    name: "a head without end",
    async run(intruder) {
      const socket = await intruder.open(bytes("GET /raft HTTP/1.1\r\n"));
      await flood(socket, bytes(`X-Field: ${"a".repeat(10_000)}\r\n`), 8 << 20);
    },
  },
  {
    name: "a crowd that says half a word each",
    async run(intruder) {
      for (let i = 0; i < CROWD; i++) await intruder.open(bytes("POST /raft HTT"));
    },
  },
  {
    name: "garbage in a member's name, at every door",
    async run(intruder, random) {
      for (let i = 0; i < 20; i++) {
        await intruder.ask("POST", "/raft", random.bytes(i * 50));
        await intruder.ask("POST", "/raft/snapshot", random.bytes(i * 50));
        await intruder.ask("POST", "/leases", random.bytes(i * 50));
        await intruder.ask("POST", "/leases/internal", random.bytes(i * 50));
        await intruder.ask("POST", "/members/hashkv", random.bytes(i * 5));
        await intruder.ask("POST", `/members/promote/${"f".repeat(i)}`);
        await intruder.ask("GET", `/raft/stream/msgapp/${i}`);
        await intruder.ask("DELETE", "/members");
      }
    },
  },
  {
    name: "messages with a byte changed",
    async run(intruder, random) {
      const entries = [{ term: 1, index: 2, type: EntryType.NORMAL, data: random.bytes(40) }];
      const message = intruder.message(MessageType.APPEND, { term: 1, index: 1, logTerm: 1, entries });
      const whole = bytesOf((writer) => writeMessage(writer, message));
      for (let i = 0; i < 150; i++) {
        const changed = whole.slice();
        changed[random.below(changed.length)] = random.below(256);
        // Of a term that is long gone, unless it was the term that changed.
        await intruder.ask("POST", "/raft", changed);
      }
    },
  },
  {
    name: "requests that nobody could carry out, for the log",
    async run(intruder, random) {
      const garbage = random.bytes(40).fill(0xff, 0, 3);
      for (const type of [EntryType.NORMAL, EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2]) {
        for (const data of [garbage, Uint8Array.of(8, 1)]) {
          const entries = [{ term: 0, index: 0, type, data }];
          await intruder.post(intruder.message(MessageType.PROPOSAL, { term: 0, entries }));
        }
      }
      await intruder.post(intruder.message(MessageType.READ_INDEX, { term: 0, from: 0n }));
    },
  },
  {
    name: "a commit index of the future",
    async run(intruder) {
      await intruder.post(intruder.message(MessageType.HEARTBEAT, { commit: FUTURE_INDEX }));
      const ahead = { index: FUTURE_INDEX, logTerm: intruder.knowledge.term, commit: FUTURE_INDEX };
      await intruder.post(intruder.message(MessageType.APPEND, ahead));
      await intruder.post(intruder.message(MessageType.APPEND_RESPONSE, { index: FUTURE_INDEX }));
    },
  },
  {
    name: "a term of the future",
    async run(intruder) {
      const term = intruder.knowledge.term + FUTURE_TERMS;
      for (const type of [MessageType.HEARTBEAT, MessageType.APPEND, MessageType.VOTE, MessageType.PRE_VOTE_RESPONSE]) {
        await intruder.post(intruder.message(type, { term, index: FUTURE_INDEX, logTerm: term, commit: FUTURE_INDEX }));
      }
    },
  },
  {
    name: "an impossible term",
    async run(intruder) {
      for (const type of [MessageType.HEARTBEAT, MessageType.APPEND_RESPONSE, MessageType.TIMEOUT_NOW]) {
        await intruder.post(intruder.message(type, { term: Number.MAX_SAFE_INTEGER }));
      }
    },
  },
  {
    name: "a snapshot of the future, which is no database",
    async run(intruder, random) {
      const head = snapshotHead(intruder.message(MessageType.SNAPSHOT, { snapshot: futureSnapshot(intruder) }));
      const status = await intruder.ask("POST", "/raft/snapshot", Buffer.concat([head, random.bytes(100_000)]));
      check(status >= 400 || status === 0, `a snapshot of random bytes is answered ${status}`);
    },
  },
  {
    name: "a snapshot without end",
    async run(intruder) {
      const head = snapshotHead(intruder.message(MessageType.SNAPSHOT, { snapshot: futureSnapshot(intruder) }));
      const socket = await intruder.open(bytes(intruder.head("POST", "/raft/snapshot")), chunk(head));
      await flood(socket, chunk(new Uint8Array(256 << 10)), ENDLESS_SIZE);
    },
  },
  {
    name: "a message without end",
    async run(intruder) {
      const socket = await intruder.open(bytes(intruder.head("POST", "/raft")));
      await flood(socket, chunk(new Uint8Array(256 << 10)), ENDLESS_SIZE);
    },
  },
  {
    name: "a stream in a member's name, which is not read",
    async run(intruder) {
      for (const kind of ["msgapp", "message"]) {
        const path = `/raft/stream/${kind}/${intruder.maskId.toString(16)}`;
        await intruder.open(bytes(intruder.head("GET", path)));
      }
      await delay(300);
    },
  },
];

function futureSnapshot({ knowledge }: Intruder): Snapshot {
  const confState = {
    voters: knowledge.memberIds,
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { data: new Uint8Array(0), index: knowledge.index + 1_000_000, term: knowledge.term, confState };
}

export const clusterIntruders: Case = {
  name: "cluster_intruders",
  about:
    "garbage, lies, floods and messages from the future at the peer ports: the cluster goes on, memory stays bounded",
  async run(context) {
    const cluster = new Cluster(context, new LocalNetwork(context, CLUSTER_SIZE));
    await cluster.start();
    const proofs = new Proofs(cluster);
    await proofs.write();
    const before = cluster.members.map((member) => member.memory().now);
    let peak = 0, attacks = 0;
    for (const { name, run } of ATTACKS) {
      for (const isLeader of [true, false]) {
        try {
          peak = Math.max(peak, await attackOnce(context, cluster, isLeader, run, before));
          await proofs.check();
          attacks++;
        } catch (error) {
          throw new Error(`${name}, to ${isLeader ? "the leader" : "a follower"}: ${(error as Error).message}`);
        }
      }
      if (process.env["KEELSON_VERBOSE"] === "1") console.log(`     ${name.padEnd(60)} ${megabytes(peak)}`);
    }
    return `${attacks} attacks, the cluster works after each; memory grew by ${megabytes(peak)} at most`;
  },
};

/** Returns by how much the memory of the process grew at most. */
async function attackOnce(
  context: Context,
  cluster: Cluster,
  isLeader: boolean,
  run: Attack["run"],
  before: readonly number[],
): Promise<number> {
  const leader = await cluster.untilLeader();
  const target = isLeader ? leader : (leader + 1) % CLUSTER_SIZE;
  // In the name of another follower, or of the leader.
  const mask = isLeader ? (leader + 1) % CLUSTER_SIZE : leader;
  const intruder = new Intruder(cluster, await learn(cluster), target, mask);
  try {
    await run(intruder, context.random);
  } finally {
    intruder.leave();
  }
  await cluster.works();
  for (const member of cluster.members) check(member.isRunning, `a member has ended: ${member.lastLogLine()}`);
  const growth = cluster.members[target]!.memory().peak - before[target]!;
  check(growth < MEMORY_GROWTH_MAX, `memory grew by ${megabytes(growth)}`);
  return growth;
}

/** What must not be lost or changed by anybody. */
class Proofs {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async write(): Promise<void> {
    for (let i = 0; i < PROOFS; i++) {
      await withClient(
        this.#cluster.members[i % CLUSTER_SIZE]!,
        (client) => client.call(KV.method.put, { key: bytes(`/proof/${i}`), value: bytes(`value ${i}`) }),
      );
    }
  }

  async check(): Promise<void> {
    for (const [i, member] of this.#cluster.members.entries()) {
      const { kvs } = await withClient(
        member,
        (client) => client.call(KV.method.range, { key: bytes("/proof/"), rangeEnd: bytes("/proof0") }),
      );
      const isWhole = kvs.length === PROOFS &&
        kvs.every((kv) => text(kv.value) === `value ${text(kv.key).slice("/proof/".length)}`);
      check(isWhole, `member ${i} has not what was written`);
    }
  }
}
