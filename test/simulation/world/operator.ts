/** Whoever runs the cluster: adds members and learners, promotes and removes them, hands over the leadership, asks for snapshots. */

import type { Member } from "../../../src/member/mod.ts";
import type { Member as ClusterMember } from "../../../src/membership/mod.ts";
import { ask } from "./connection.ts";
import { Machine, peerUrlOf, type Process } from "./machine.ts";
import type { Random } from "./random.ts";
import { MEMBERS_MIN, type World } from "./world.ts";

const INTERVAL_MS = 2500;
const MEMBERS_MAX = 5;

export class Operator {
  readonly #world: World;
  readonly #random: Random;
  #isStopped = false;
  #isBusy = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#pause();
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Starts machines for members that were added, and gives up those of members that are gone. */
  followMembership(members: readonly ClusterMember[]): void {
    const world = this.#world;
    // Nobody is up who could say.
    if (members.length === 0) return;
    for (const { id, peerUrls } of members) {
      const name = nameOf(peerUrls[0]);
      if (world.machines.some((machine) => machine.name === name)) continue;
      const { clusterId } = world.anyMember()!;
      const existing = { clusterId, memberId: id, members };
      const machine = new Machine(world, name, { existing }, this.#random.branch(name));
      machine.memberId = id;
      world.machines.push(machine);
      world.coverage.count("members that joined");
      machine.start();
    }
    for (const machine of world.machines) {
      if (machine.memberId === undefined || members.some(({ id }) => id === machine.memberId)) continue;
      machine.isRetired = true;
    }
  }

  #pause(): void {
    this.#world.scheduler.after(500 + this.#random.exponential(INTERVAL_MS), () => this.#act());
  }

  #act(): void {
    if (this.#isStopped) return;
    const world = this.#world;
    const members = world.newestMembers();
    const process = world.readyProcess(this.#random);
    if (process === undefined) return this.#pause();
    this.followMembership(members);
    const learners = members.filter(({ isLearner }) => isLearner);
    if (members.length < MEMBERS_MIN) return this.#add(process);
    switch (this.#random.weighted({ transfer: 4, add: 3, promote: 5, remove: 3, defragment: 1 })) {
      case "transfer":
        return this.#transfer(members);
      case "add":
        if (members.length < MEMBERS_MAX) return this.#add(process);
        break;
      case "promote":
        if (learners.length > 0) {
          const { id } = this.#random.pick(learners);
          const leader = world.leaderMachine()?.process ?? process;
          return this.#ask(
            leader,
            "promote",
            (member, settle) => member.promoteMember(id, (_, error) => settle(error)),
          );
        }
        break;
      case "remove":
        if (members.length - learners.length > MEMBERS_MIN) {
          const { id } = this.#random.pick(members);
          return this.#ask(process, "remove", (member, settle) => member.removeMember(id, (_, error) => settle(error)));
        }
        break;
      case "defragment":
        return this.#ask(process, "defragment", (member, settle) => {
          member.defragment().then(() => settle(undefined), (reason) => settle((reason as Error).message));
        });
    }
    this.#pause();
  }

  #add(process: Process): void {
    const url = peerUrlOf(`m${this.#world.machines.length + 1}`);
    const isLearner = this.#random.chance(0.6);
    const what = isLearner ? "add a learner" : "add a voter";
    this.#ask(process, what, (member, settle) => {
      member.addMember([url], isLearner, (_, error) => settle(error));
    });
  }

  #transfer(members: readonly ClusterMember[]): void {
    const leader = this.#world.leaderMachine()?.process;
    if (leader === undefined || !leader.isReady) return this.#pause();
    const { id } = this.#random.pick(members);
    this.#ask(leader, "move the leader", (member, settle) => member.moveLeader(id, settle));
  }

  #ask(
    process: Process,
    what: string,
    begin: (member: Member, settle: (error: string | undefined) => void) => void,
  ): void {
    const world = this.#world;
    this.#isBusy = true;
    world.story.tell(() => `operator asks ${process.machine.name} to ${what}`);
    ask<true>(world, process, 7000, (answer, fail) => {
      begin(process.member!, (error) => error === undefined ? answer(true) : fail(error));
      return undefined;
    }, (answer, error) => {
      this.#isBusy = false;
      world.coverage.count(answer === undefined ? `operator failed to ${what}: ${error}` : `operator: ${what}`);
      world.story.tell(() => `operator: ${what}: ${answer === undefined ? error : "done"}`);
      this.#pause();
    });
  }
}

function nameOf(peerUrl: string): string {
  return new URL(peerUrl).hostname;
}
