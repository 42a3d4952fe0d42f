import { expect, test } from "bun:test";
import { Membership } from "../../src/membership/mod.ts";
import { LeaderTransfer } from "../../src/member/leader_transfer.ts";
import { RecordingLog } from "../harness/recording_log.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

class World {
  readonly clock = new SimulatedClock();
  readonly log = new RecordingLog();
  readonly membership = new Membership();
  leader = 1n;
  readonly asked: bigint[] = [];
  result: string | undefined = "not settled";
  readonly transfer: LeaderTransfer = new LeaderTransfer({
    clock: this.clock,
    log: this.log,
    membership: this.membership,
    memberId: 1n,
    leader: () => this.leader,
    transfer: (target) => this.asked.push(target),
    tickMs: 100,
    timeoutMs: 7000,
  });

  constructor() {
    for (const [id, isLearner] of [[1n, false], [2n, false], [3n, true]] as const) {
      this.membership.add({ id, name: "", peerUrls: [`http://m${id}:1`], clientUrls: [], isLearner });
    }
  }

  begin(target: bigint): string | undefined {
    this.transfer.begin(target, (error) => this.result = error);
    return this.result;
  }
}

test("only a leader hands over, and only to a voter of its cluster", () => {
  const world = new World();
  expect(world.begin(9n)).toBe("bad_leader_transferee");
  expect(world.begin(3n)).toBe("bad_leader_transferee");
  world.leader = 2n;
  expect(world.begin(2n)).toBe("not_leader");
  expect(world.asked).toEqual([]);
});

test("to itself a leader has handed over already", () => {
  const world = new World();
  expect(world.begin(1n)).toBeUndefined();
  expect(world.log.with("leadership transfer")).toHaveLength(2);
});

test("it is waited for until the other leads", async () => {
  const world = new World();
  world.begin(2n);
  await world.clock.advance(500);
  expect([world.result, world.asked]).toEqual(["not settled", [2n]]);
  world.leader = 2n;
  await world.clock.advance(100);
  expect(world.result).toBeUndefined();
  expect(world.log.with("finished")[0].fields).toMatchObject({ "new-leader-member-id": "2", took: "600ms" });
  expect(world.clock.timerCount).toBe(0);
});

test("it is not waited for for ever", async () => {
  const world = new World();
  world.begin(2n);
  await world.clock.advance(8000);
  expect(world.result).toBe("leader_transfer_timeout");
  world.begin(2n);
  world.result = "not settled";
  world.transfer.stop();
  expect(world.result).toBe("leader_transfer_timeout");
  expect(world.clock.timerCount).toBe(0);
});
