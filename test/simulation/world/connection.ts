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

/** Calls a method that answers once, a stream's first answer included. `settle` is called exactly once, later. */
export function startCall(
  world: World,
  process: Process,
  { path, bytes, timeoutMs }: CallOptions,
  settle: (answer: Uint8Array | undefined, error: CallError | undefined) => void,
): void {
  const { scheduler } = world;
  let isSettled = false;
  let cancel = (): void => {};
  const finish = (answer: Uint8Array | undefined, error: CallError | undefined): void => {
    if (isSettled) return;
    isSettled = true;
    timeout.cancel();
    world.calls.delete(pending);
    settle(answer, error);
  };
  const giveUp = (): void => {
    finish(undefined, "unknown");
    process.time.run(world.clientDelayMs(), () => cancel());
  };
  const pending: PendingCall = { process, fail: () => void scheduler.after(world.clientDelayMs(), giveUp) };
  const timeout = scheduler.after(timeoutMs, giveUp);
  world.calls.add(pending);

  process.time.run(world.clientDelayMs(), () => {
    const method = process.methods.get(path);
    if (method === undefined) throw new Error(`${path} is not served`);
    const onAnswer = (answer: Uint8Array): void =>
      void scheduler.after(world.clientDelayMs(), () => finish(answer, undefined));
    const onError = (reason: unknown): void =>
      void scheduler.after(world.clientDelayMs(), () => finish(undefined, reason as RpcError));
    if (method.kind === "unary") {
      const call = startUnary(method, bytes);
      cancel = () => call.cancel(CANCELED);
      call.response.then((message) => onAnswer(wholeMessage(message)), onError);
    } else {
      const call = startStream(method, undefined);
      cancel = () => call.cancel(CANCELED);
      call.write(bytes);
      call.receive().then((message) => {
        cancel();
        if (message === undefined) onError("unknown");
        else onAnswer(wholeMessage(message));
      }, onError);
    }
  });
}

export const CANCELED = new RpcError(Code.CANCELED, "context canceled");
