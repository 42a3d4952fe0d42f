/**
 * Whoever runs the cluster, by asking members as etcdctl does: adds members and learners, moves, promotes and removes them,
 * hands over the leadership, asks for defragmentation.
 */

import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  MemberAddRequestSchema,
  MemberPromoteRequestSchema,
  MemberRemoveRequestSchema,
  MemberUpdateRequestSchema,
} from "../../../src/gen/etcdserverpb/cluster_pb.ts";
import { DefragmentRequestSchema, MoveLeaderRequestSchema } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";
import { RpcError } from "../../../src/io/rpc.ts";
import type { Member as ClusterMember } from "../../../src/membership/mod.ts";
import { startCall } from "./connection.ts";
import { Machine, PEER_PORTS, peerUrlOf, type Process } from "./machine.ts";
import type { Random } from "./random.ts";
import { MEMBERS_MIN, nameOf, type World } from "./world.ts";

const INTERVAL_MS = 2500;
const MEMBERS_MAX = 5;
const TIMEOUT_MS = 7000;
const CLUSTER = "/etcdserverpb.Cluster/";
const MAINTENANCE = "/etcdserverpb.Maintenance/";

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
      const machine = new Machine(world, name, true, this.#random.branch(name));
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
    switch (this.#random.weighted({ transfer: 4, add: 3, promote: 5, remove: 3, update: 2, defragment: 1 })) {
      case "transfer":
        return this.#transfer(members);
      case "add":
        if (members.length < MEMBERS_MAX) return this.#add(process);
        break;
      case "promote":
        if (learners.length > 0) return this.#promote(process, this.#random.pick(learners));
        break;
      case "remove":
        if (members.length - learners.length > MEMBERS_MIN) {
          const { id } = this.#random.pick(members);
          return this.#ask(process, "remove", `${CLUSTER}MemberRemove`, MemberRemoveRequestSchema, { ID: id });
        }
        break;
      case "update":
        if (members.length > 0) return this.#update(process, this.#random.pick(members));
        break;
      case "defragment":
        return this.#ask(process, "defragment", `${MAINTENANCE}Defragment`, DefragmentRequestSchema, {});
    }
    this.#pause();
  }

  #add(process: Process): void {
    const peerURLs = [peerUrlOf(`m${this.#world.machines.length + 1}`)];
    const isLearner = this.#random.chance(0.6);
    const what = isLearner ? "add a learner" : "add a voter";
    this.#ask(process, what, `${CLUSTER}MemberAdd`, MemberAddRequestSchema, { peerURLs, isLearner });
  }

  /** Through the leader or whoever passes it on. */
  #promote(process: Process, { id }: ClusterMember): void {
    const leader = this.#random.chance(0.5) ? this.#world.leaderMachine()?.process : undefined;
    const asked = leader?.isReady ? leader : process;
    this.#ask(asked, "promote", `${CLUSTER}MemberPromote`, MemberPromoteRequestSchema, { ID: id });
  }

  /** Another of the machine's addresses, or several. */
  #update(process: Process, { id, peerUrls }: ClusterMember): void {
    const urls = PEER_PORTS.map((port) => peerUrlOf(nameOf(peerUrls[0]), port));
    const peerURLs = this.#random.pick([urls, urls.slice(0, 1), urls.slice(1)]);
    this.#ask(process, "update", `${CLUSTER}MemberUpdate`, MemberUpdateRequestSchema, { ID: id, peerURLs });
  }

  #transfer(members: readonly ClusterMember[]): void {
    const leader = this.#world.leaderMachine()?.process;
    if (leader === undefined || !leader.isReady) return this.#pause();
    const { id } = this.#random.pick(members);
    const path = `${MAINTENANCE}MoveLeader`;
    this.#ask(leader, "move the leader", path, MoveLeaderRequestSchema, { targetID: id });
  }

  #ask<Request extends DescMessage>(
    process: Process,
    what: string,
    path: string,
    schema: Request,
    request: MessageInitShape<Request>,
  ): void {
    const world = this.#world;
    this.#isBusy = true;
    world.story.tell(() => `operator asks ${process.machine.name} to ${what}`);
    const bytes = toBinary(schema, create(schema, request));
    startCall(world, process, { path, bytes, timeoutMs: TIMEOUT_MS }, (answer, error) => {
      const why = error instanceof RpcError ? error.message : error;
      this.#isBusy = false;
      world.coverage.count(answer === undefined ? `operator failed to ${what}: ${why}` : `operator: ${what}`);
      world.story.tell(() => `operator: ${what}: ${answer === undefined ? why : "done"}`);
      this.#pause();
    });
  }
}
