/** A client: one operation after the other, mostly at the same member, until it is told to stop. */

import { Code, RpcError } from "../../../src/io/rpc.ts";
import type { Operation, Request } from "../observations.ts";
import { operationText, requestText } from "../checkers/text.ts";
import { type CallError, startCall } from "./connection.ts";
import type { Process } from "./machine.ts";
import type { Random } from "./random.ts";
import { encode } from "./requests.ts";
import type { World } from "./world.ts";

/** Between two operations, on average. */
const THINK_MS = 420;

/** Answers that say for certain that nothing was done, and never will be. */
const DEFINITE: ReadonlySet<Code> = new Set([
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.OUT_OF_RANGE,
  Code.ALREADY_EXISTS,
]);

/** What members without a vote say to most requests: others are to be asked. */
const NOT_FOR_LEARNERS = "etcdserver: rpc not supported for learner";

export class Client {
  readonly #world: World;
  readonly #number: number;
  readonly #random: Random;
  #process: Process | undefined;
  #isStopped = false;
  isBusy = false;

  constructor(world: World, number: number, random: Random) {
    this.#world = world;
    this.#number = number;
    this.#random = random;
    this.#pause();
  }

  stop(): void {
    this.#isStopped = true;
  }

  #pause(): void {
    this.#world.scheduler.after(1 + this.#random.exponential(THINK_MS), () => this.#next());
  }

  #next(): void {
    if (this.#isStopped) return;
    const world = this.#world;
    const request = world.workload.next();
    const process = this.#chooseProcess(request);
    if (process === undefined) return this.#pause();
    const operation: Operation = {
      client: this.#number,
      request,
      invoked: world.nextMoment(),
      invokedMs: world.scheduler.nowMs,
      outcome: { kind: "unknown" },
    };
    world.observations.operations.push(operation);
    world.coverage.count(`operations: ${request.kind}`);
    world.story.tell(() => `client ${this.#number} asks ${process.machine.name}: ${requestText(request)}`);
    const encoded = encode(request);
    const isImpatient = this.#random.chance(0.2) && !world.isHealed;
    const timeoutMs = isImpatient ? this.#random.within(20, 500) : this.#random.within(1500, 8000);
    this.isBusy = true;
    startCall(world, process, { ...encoded, timeoutMs }, (answer, error) => {
      this.isBusy = false;
      if (answer === undefined) this.#onError(operation, error!);
      else {
        const response = encoded.decode(answer);
        operation.outcome = {
          kind: "answered",
          returned: world.nextMoment(),
          returnedMs: world.scheduler.nowMs,
          response,
        };
        world.workload.learn(request, response);
      }
      world.story.tell(() => operationText(operation));
      this.#pause();
    });
  }

  /** Leases are renewed by leaders, also by those that are no longer and do not know. */
  #chooseProcess({ kind }: Request): Process | undefined {
    const world = this.#world;
    if (kind === "leaseKeepAlive" && this.#random.chance(0.5)) {
      return world.leadingProcess(this.#random) ?? world.readyProcess(this.#random);
    }
    if (!this.#process?.isReady) this.#process = world.readyProcess(this.#random);
    return this.#process;
  }

  #onError(operation: Operation, error: CallError): void {
    const world = this.#world;
    if (error instanceof RpcError && (DEFINITE.has(error.code) || error.message === NOT_FOR_LEARNERS)) {
      if (error.message === NOT_FOR_LEARNERS) this.#process = undefined;
      world.coverage.count("operations refused");
      operation.outcome = {
        kind: "refused",
        returned: world.nextMoment(),
        returnedMs: world.scheduler.nowMs,
        error: error.message,
      };
      return;
    }
    const why = error instanceof RpcError ? error.message : "no answer";
    world.coverage.count(`operations of unknown outcome`);
    world.story.tell(() => `client ${this.#number} hears: ${why}`);
    if (error instanceof RpcError && (error.code === Code.INTERNAL || error.message.startsWith("keelson"))) {
      world.violation(`${operationText(operation)} was answered ${error.code} ${error.message}`);
    }
    if (this.#random.chance(0.7)) this.#process = undefined;
  }
}
