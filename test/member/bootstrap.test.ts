import { describe, expect, test } from "bun:test";
import { Applier } from "../../src/apply/mod.ts";
import { Keyspace } from "../../src/keyspace/mod.ts";
import { bootstrap, type Bootstrapped } from "../../src/member/bootstrap.ts";
import type { ClusterOrigin, MemberOptions } from "../../src/member/mod.ts";
import { Membership } from "../../src/membership/mod.ts";
import { MEMBER_DEFAULTS, seededEntropy } from "../harness/member.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";
import { SimulatedDisk, type SimulatedDiskOptions } from "../harness/simulated_disk.ts";

const BEGUN: ClusterOrigin = {
  initial: ["m1", "m2", "m3"].map((name) => ({ name, peerUrls: [`http://${name}:2380`] })),
};
const JOINED: ClusterOrigin = {
  existing: {
    clusterId: 0xabcn,
    memberId: 2n,
    members: [1n, 2n].map((id) => ({ id, name: "", peerUrls: [`http://m${id}:1`], clientUrls: [], isLearner: false })),
  },
};

/** Brings a member to the end of what the disk holds; forever, where the disk's power goes. */
async function start(
  disk: SimulatedDisk,
  origin: () => Promise<ClusterOrigin>,
  rest: Partial<MemberOptions> = {},
): Promise<Bootstrapped> {
  const clock = new SimulatedClock();
  const keyspace = new Keyspace({ electionTimeoutMs: 1000, revokeRetryMs: 7000, hashSeed: 0 });
  const membership = new Membership();
  const started = bootstrap({
    ...MEMBER_DEFAULTS,
    disk,
    clock,
    entropy: seededEntropy(1),
    name: "m2",
    peerUrls: ["http://m2:2380"],
    clientUrls: [],
    clusterToken: "token",
    warningApplyMs: 0,
    origin,
    onFatal: () => {},
    ...rest,
  }, { applier: new Applier(keyspace, membership), keyspace, membership });
  return await clock.run(started);
}

async function close({ wal, directory }: Bootstrapped): Promise<void> {
  await wal.close();
  await directory.close();
}

function never(): Promise<ClusterOrigin> {
  return Promise.reject(new Error("the origin is of no interest any more"));
}

describe.each([["begins", BEGUN], ["joins", JOINED]] as const)("a member that %s a cluster", (_, origin) => {
  const isBegun = "initial" in origin;

  function expectWhole({ raft, memberId, clusterId, others }: Bootstrapped): void {
    if ("existing" in origin) {
      expect([memberId, clusterId]).toEqual([2n, 0xabcn]);
      expect(others).toEqual(origin.existing.members);
    }
    expect([raft.log.lastIndex, raft.commitIndex]).toEqual(isBegun ? [3, 3] : [0, 0]);
    expect(raft.confState.voters).toEqual([]);
  }

  test("is started again whole after an end at any operation of its disk", async () => {
    let memberId: bigint | undefined;
    for (const kind of ["kill", "crash"] as const) {
      for (let number = 1, isWhole = false; !isWhole; number++) {
        let count = 0;
        const fault: SimulatedDiskOptions["fault"] = () =>
          ++count < number ? undefined : number % 2 === 0 ? "crash-before" : "crash-after";
        const disk = new SimulatedDisk({ seed: number, fault });
        await start(disk, () => Promise.resolve(origin)).catch(() => {});
        isWhole = count < number;
        const next = disk[kind]({ seed: number });
        const again = await start(next, () => Promise.resolve(origin));
        expectWhole(again);
        memberId ??= again.memberId;
        expect(again.memberId).toBe(memberId);
        await close(again);
      }
    }
  });

  test("is not started as another one in a log that it has begun", async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    // The power goes with the log's head alone written.
    await close(await start(disk, () => Promise.resolve(JOINED)));
    const other: ClusterOrigin = { initial: [{ name: "m2", peerUrls: ["http://m2:9999"] }] };
    await expect(start(disk.kill({ seed: 1 }), () => Promise.resolve(other))).rejects.toThrow(
      /was begun for member 2 of cluster abc, and this start is that of member [0-9a-f]+ of cluster/,
    );
  });

  test("leaves nothing behind when it is refused", async () => {
    const disk = new SimulatedDisk({ seed: 1 });
    await expect(start(disk, never)).rejects.toThrow("of no interest");
    expect(await disk.list("data/member")).toEqual(["snap"]);
    expect(await disk.list("data/member/snap")).toEqual(["db"]);
    await close(await start(disk.kill({ seed: 1 }), () => Promise.resolve(origin)));
  });
});

test("a member whose log says how its cluster began does not ask again", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await close(await start(disk, () => Promise.resolve(BEGUN)));
  const again = await start(disk.kill({ seed: 1 }), never);
  expect(again.raft.log.lastIndex).toBe(3);
  await close(again);
});

test("a member that knows more learners than it may have does not start", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await close(await start(disk, () => Promise.resolve(BEGUN)));
  await close(await start(disk.kill({ seed: 1 }), never, { learnersMax: 0 }));
});

test("a new cluster without this member's name is none of its own", async () => {
  const disk = new SimulatedDisk({ seed: 1 });
  await expect(start(disk, () => Promise.resolve(BEGUN), { name: "m9" })).rejects.toThrow("no member of the name");
});
