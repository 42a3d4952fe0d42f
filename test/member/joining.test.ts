import { expect, test } from "bun:test";
import { silentLogger } from "../../src/io/log.ts";
import { systemCrypto } from "../../src/io/system/mod.ts";
import { beginNewCluster, type ClusterOrigin, joinExistingCluster, type JoiningParts } from "../../src/member/mod.ts";
import { bootstrapMemberId, type Member } from "../../src/membership/mod.ts";
import type { Answer, AskUrl } from "../../src/peer/mod.ts";
import { askThese, type RunningMember } from "../harness/answers.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

const A = "http://a:2380";
const B = "http://b:2380";
const C = "http://c:2380";
const CLUSTER_ID = 0xcdf818194e3a8c32n;

function member(id: bigint, peerUrl: string, name: string): Member {
  return { id, name, peerUrls: [peerUrl], clientUrls: name === "" ? [] : [`http://${name}:2379`], isLearner: false };
}

/** Member "c" of three, and those that it finds running. */
function partsWith(running: Readonly<Record<string, RunningMember>>, rest: Partial<JoiningParts> = {}): JoiningParts {
  return {
    clock: new SimulatedClock(),
    crypto: systemCrypto,
    log: silentLogger,
    network: { resolve: (host) => Promise.resolve([host.length > 1 ? host : `10.0.0.${host.charCodeAt(0)}`]) },
    ask: askThese(running),
    name: "c",
    initial: [{ name: "a", peerUrls: [A] }, { name: "b", peerUrls: [B] }, { name: "c", peerUrls: [C] }],
    clusterToken: "token",
    learnersMax: 1,
    requestTimeoutMs: 7000,
    ...rest,
  };
}

const OWN_ID = 0xfffffffffffffff1n;
const JOINED: RunningMember = {
  clusterId: CLUSTER_ID,
  members: [member(1n, A, "a"), member(2n, B, "b"), member(OWN_ID, C, "")],
};

/** What is known of the identity that "c" has in a new cluster. */
function asBegun(name: string): RunningMember {
  const id = bootstrapMemberId([C], "token", (data) => systemCrypto.sha1(data));
  return { clusterId: CLUSTER_ID, members: [member(1n, A, "a"), member(2n, B, "b"), member(id, C, name)] };
}

test("a new cluster begins, whether or not the others are there", async () => {
  const { initial } = partsWith({});
  const clock = new SimulatedClock();
  for (const running of [{}, { [A]: asBegun("") }] as Record<string, RunningMember>[]) {
    let begun: ClusterOrigin | undefined;
    beginNewCluster(partsWith(running, { clock })).then((origin) => begun = origin);
    await clock.advance(1000);
    expect(begun).toEqual({ initial });
  }
});

test("a member that has run before, and comes without its log, is refused, whoever else has forgotten it", async () => {
  await expect(beginNewCluster(partsWith({ [A]: asBegun(""), [B]: asBegun("c") }))).rejects.toThrow("bootstrapped");
  await expect(beginNewCluster(partsWith({ [B]: asBegun("c") }))).rejects.toThrow(
    /^member [0-9a-f]+ has already been bootstrapped, but its data directory has no log.*etcdctl member remove/,
  );
  const started = { ...JOINED, members: [...JOINED.members.slice(0, 2), member(OWN_ID, C, "c")] };
  await expect(joinExistingCluster(partsWith({ [A]: started }))).rejects.toThrow("has already been bootstrapped");
});

/** What becomes of a member whose disk was wiped, where another one starts a while after it. */
async function outcomeWhere(startsAfterMs: number, before: Answer | undefined): Promise<string> {
  const clock = new SimulatedClock();
  const startMs = clock.nowMs + startsAfterMs;
  const running = askThese({ [A]: asBegun("c") });
  const ask: AskUrl = (url, question, timeoutMs) =>
    url !== A || clock.nowMs >= startMs ? running(url, question, timeoutMs) : Promise.resolve(before);
  let outcome: string | undefined;
  beginNewCluster(partsWith({}, { clock, ask })).then(() => outcome = "begun", () => outcome = "refused");
  for (; outcome === undefined; await clock.advance(10)) if (clock.nowMs > startMs + 10_000) return "undecided";
  return outcome;
}

test("those who are about to start are asked again, for a while", async () => {
  const starting: Answer = { status: 503, contentType: "", body: new Uint8Array(0) };
  for (const before of [undefined, starting]) {
    expect(await outcomeWhere(500, before)).toBe("refused");
    expect(await outcomeWhere(5000, before)).toBe("begun");
  }
});

test("a member joins under the id that the cluster gave it, whoever of the others answers", async () => {
  const existing = { clusterId: CLUSTER_ID, memberId: OWN_ID, members: JOINED.members };
  expect(await joinExistingCluster(partsWith({ [A]: JOINED, [B]: JOINED }))).toEqual({ existing });
  expect(await joinExistingCluster(partsWith({ [B]: JOINED }))).toEqual({ existing });
});

test("peer URLs are the same when they stand for the same addresses", async () => {
  const members = [
    member(1n, "http://10.0.0.97:2380", "a"),
    member(2n, B, "b"),
    member(7n, "http://10.0.0.99:2380", ""),
  ];
  const { existing } = await joinExistingCluster(partsWith({ [A]: { clusterId: 5n, members } })) as {
    existing: { memberId: bigint };
  };
  expect(existing.memberId).toBe(7n);
});

test("a member that does not belong to the cluster is refused", async () => {
  const strangers = [member(1n, A, "a"), member(2n, B, "b"), member(3n, "http://d:2380", "")];
  const learners = JOINED.members.map((one) => one.name === "a" ? one : { ...one, isLearner: true });
  const cases: [Record<string, RunningMember>, string][] = [
    [{}, "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs"],
    [{ [A]: { clusterId: 1n, members: [] } }, "cannot fetch cluster info from peer urls"],
    [{ [A]: { ...JOINED, members: JOINED.members.slice(0, 2) } }, "member count is unequal"],
    [{ [A]: { ...JOINED, members: strangers } }, "PeerURLs: no match found for existing member (3, [http://d:2380])"],
    [{ [A]: { ...JOINED, members: learners } }, "membership: too many learner members in cluster"],
  ];
  for (const [running, message] of cases) {
    await expect(joinExistingCluster(partsWith(running))).rejects.toThrow(message);
  }
});

test("a member joins a cluster only of a version that it can take part in", async () => {
  const outcomes: [string, boolean, boolean][] = [
    ["3.7.0", false, true],
    ["3.6.0", false, true],
    ["3.0.0", false, true],
    ["2.3.0", false, false],
    ["3.8.0", false, false],
    ["not_decided", false, false],
    // On the way from 3.8 to 3.7.
    ["3.8.0", true, true],
    ["3.7.0", true, false],
  ];
  for (const [clusterVersion, isDowngrading, isTaken] of outcomes) {
    const joined = joinExistingCluster(partsWith({ [A]: { ...JOINED, clusterVersion, isDowngrading } }));
    if (isTaken) await joined;
    else await expect(joined).rejects.toThrow("incompatible with current running cluster");
  }
});

test("garbage for an answer is no answer", async () => {
  const { ask } = partsWith({ [B]: JOINED });
  const garbage: [number, string][] = [[200, "{"], [200, '[{"name":"x"}]'], [200, "[1]"], [404, "[]"], [200, "null"]];
  for (const [status, text] of garbage) {
    const parts = partsWith({}, {
      ask: (url, question, timeoutMs) => {
        const body = new TextEncoder().encode(text);
        return url === A
          ? Promise.resolve({ status, contentType: "", body, clusterId: 1n })
          : ask(url, question, timeoutMs);
      },
    });
    expect((await joinExistingCluster(parts) as { existing: { memberId: bigint } }).existing.memberId).toBe(OWN_ID);
  }
});
