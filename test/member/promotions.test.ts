import { expect, test } from "bun:test";
import type { PromotionAnswer } from "../../src/member/peer_questions.ts";
import { Promotions } from "../../src/member/promotions.ts";
import type { ReconfigurationSettle } from "../../src/member/membership_changes.ts";
import { NO_MEMBER } from "../../src/raft/mod.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";

/** Member 1, which does not lead unless it is told to, and a leader that answers as it is told. */
class World {
  readonly clock = new SimulatedClock();
  leader = 2n;
  isLeading = false;
  answer: PromotionAnswer | undefined;
  readonly asked: [to: bigint, atMs: number, timeoutMs: number][] = [];
  readonly results: string[] = [];
  readonly promotions: Promotions = new Promotions({
    clock: this.clock,
    memberId: 1n,
    leader: () => this.leader,
    promote: (_id, settle) => this.isLeading ? settle([], undefined) : settle(undefined, "not_leader"),
    ask: (to, _id, timeoutMs) => {
      this.asked.push([to, this.clock.monotonicMs() - this.startMs, timeoutMs]);
      return Promise.resolve(this.answer);
    },
    timeoutMs: 7000,
  });
  readonly startMs = this.clock.monotonicMs();
  readonly settle: ReconfigurationSettle = (members, error) => this.results.push(error ?? `${members!.length} members`);
}

test("the leader's answer is final where it is one", async () => {
  const world = new World();
  for (const answer of ["learner_not_ready", "member_not_found", []] as const) {
    world.answer = answer;
    world.promotions.begin(9n, world.settle);
    await world.clock.advance(1);
  }
  expect(world.results).toEqual(["learner_not_ready", "member_not_found", "0 members"]);
  expect(world.asked[0]).toEqual([2n, 0, 7000]);
});

test("whoever leads is asked again, until the time is over", async () => {
  const world = new World();
  world.promotions.begin(9n, world.settle);
  await world.clock.advance(100);
  world.leader = 3n;
  await world.clock.advance(6850);
  expect(world.results).toEqual([]);
  expect(world.asked.slice(0, 4).map(([to, atMs]) => [to, atMs])).toEqual([[2n, 0], [2n, 50], [2n, 100], [3n, 150]]);
  expect(world.asked.at(-1)![2]).toBeLessThanOrEqual(100);
  await world.clock.advance(200);
  expect(world.results).toEqual(["timeout"]);
});

test("a member that comes to lead meanwhile does it itself", async () => {
  const world = new World();
  world.leader = NO_MEMBER;
  world.promotions.begin(9n, world.settle);
  await world.clock.advance(1000);
  world.leader = 1n;
  await world.clock.advance(1000);
  expect(world.results).toEqual([]);
  world.isLeading = true;
  await world.clock.advance(100);
  expect([world.results, world.asked]).toEqual([["0 members"], []]);
});

test("without a leader there is none to ask", async () => {
  const world = new World();
  world.leader = NO_MEMBER;
  world.promotions.begin(9n, world.settle);
  await world.clock.advance(7100);
  expect(world.results).toEqual(["no_leader"]);
});

test("a member that stops tells those who wait, and those who come", async () => {
  const world = new World();
  world.promotions.begin(9n, world.settle);
  await world.clock.advance(10);
  world.promotions.stop();
  expect(world.results).toEqual(["stopped"]);
  world.promotions.begin(9n, world.settle);
  expect(world.results).toEqual(["stopped", "stopped"]);
});
