/** A client's way to one member: calls that are answered, fail, or are never heard of again. */

import { Code, RpcError } from "../../../src/io/rpc.ts";
import { startStream, startUnary, wholeMessage } from "../../../src/io/rpc_local.ts";
import type { Process } from "./machine.ts";
import type { World } from "./world.ts";

/** Why a call has no answer: an error that the member sent, or that nothing is known. */
export type CallError = RpcError | "unknown";

export interface PendingCall {
  readonly process: Process;
  /** The connection is gone, or the caller waits no longer. */
  fail(): void;
}

export interface CallOptions {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly timeoutMs: number;
}

/** What runs in the member's process: begins something, and may be told to stop it. */
type Begin<Answer> = (answer: (value: Answer) => void, fail: (reason: unknown) => void) => (() => void) | undefined;

/** Asks a member for something. `settle` is called exactly once, later. */
export function ask<Answer>(
  world: World,
  process: Process,
  timeoutMs: number,
  begin: Begin<Answer>,
  settle: (answer: Answer | undefined, error: CallError | undefined) => void,
): void {
  const { scheduler } = world;
  let isSettled = false;
  let cancel: (() => void) | undefined;
  const finish = (answer: Answer | undefined, error: CallError | undefined): void => {
    if (isSettled) return;
    isSettled = true;
    timeout.cancel();
    world.calls.delete(pending);
    settle(answer, error);
  };
  const giveUp = (): void => {
    finish(undefined, "unknown");
    process.time.run(world.clientDelayMs(), () => cancel?.());
  };
  const pending: PendingCall = { process, fail: () => void scheduler.after(world.clientDelayMs(), giveUp) };
  const timeout = scheduler.after(timeoutMs, giveUp);
  world.calls.add(pending);
  process.time.run(world.clientDelayMs(), () => {
    cancel = begin(
      (answer) => void scheduler.after(world.clientDelayMs(), () => finish(answer, undefined)),
      (reason) => void scheduler.after(world.clientDelayMs(), () => finish(undefined, reason as CallError)),
    );
  });
}

/** Calls a method that answers once, a stream's first answer included. */
export function startCall(
  world: World,
  process: Process,
  { path, bytes, timeoutMs }: CallOptions,
  settle: (answer: Uint8Array | undefined, error: CallError | undefined) => void,
): void {
  ask<Uint8Array>(world, process, timeoutMs, (answer, fail) => {
    const method = process.methods.get(path);
    if (method === undefined) throw new Error(`${path} is not served`);
    if (method.kind === "unary") {
      const call = startUnary(method, bytes);
      call.response.then((message) => answer(wholeMessage(message)), fail);
      return () => call.cancel(CANCELED);
    }
    const call = startStream(method, undefined);
    call.write(bytes);
    call.receive().then((message) => {
      call.cancel(CANCELED);
      if (message === undefined) fail("unknown");
      else answer(wholeMessage(message));
    }, fail);
    return () => call.cancel(CANCELED);
  }, settle);
}

export const CANCELED = new RpcError(Code.CANCELED, "context canceled");
