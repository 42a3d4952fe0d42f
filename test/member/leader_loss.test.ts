import { expect, test } from "bun:test";
import { LeaderLoss } from "../../src/member/leader_loss.ts";

test("a loss is told once, after three election timeouts without a leader in a row", () => {
  const loss = new LeaderLoss(10);
  let count = 0;
  loss.listen(() => count++);
  const tick = (times: number, hasLeader: boolean): number => {
    for (let i = 0; i < times; i++) loss.tick(hasLeader);
    return count;
  };
  expect([tick(29, false), tick(1, true), tick(29, false), tick(1, false), tick(100, false)]).toEqual([0, 0, 0, 1, 1]);
  expect([tick(1, true), tick(30, false)]).toEqual([1, 2]);
});
