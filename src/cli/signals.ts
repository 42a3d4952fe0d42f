/** The end of a server: a signal, or a failure it cannot go on from. */

import { constants } from "node:os";
import process from "node:process";
import { MemberRemovedError } from "../member/mod.ts";
import type { ProcessLogger } from "./log/mod.ts";

/** A server that answers its clients. */
export interface RunningServer {
  /** Drains and closes everything; resolves when nothing is left that a sudden end could hurt. */
  stop(): Promise<void>;
  /** Resolves if the server cannot go on by itself (a failed fsync, a lost listener); never while all is well. */
  readonly failure: Promise<Error>;
}

type StopSignal = "SIGTERM" | "SIGINT";

/** What Go calls them. */
const SIGNAL_NAMES: Record<StopSignal, string> = { SIGTERM: "terminated", SIGINT: "interrupt" };

/**
 * Waits for the end of `server` and returns the exit code. On SIGTERM or SIGINT the server is stopped and the signal
 * sent again, this time to its default action, so that the parent sees what ended the process; process 1, which the
 * kernel spares that, exits with 0. A second signal meanwhile ends the process at once.
 */
export async function runUntilEnd(server: RunningServer, log: ProcessLogger): Promise<number> {
  const signal = nextStopSignal();
  const end = await Promise.race([signal, server.failure]);
  if (end instanceof MemberRemovedError) {
    await server.stop();
    tellRemoved(log, end);
    return 0;
  }
  if (end instanceof Error) {
    log.fatal("the server cannot go on", { error: end });
    return 1;
  }
  log.info("received signal; shutting down", { signal: SIGNAL_NAMES[end] });
  await server.stop();
  if (process.pid === 1) return 0;
  process.kill(process.pid, end);
  return 128 + constants.signals[end];
}

/** The last words of a member that the cluster has removed. A process that ends for that reason while it serves has done well. */
export function tellRemoved(log: ProcessLogger, error: MemberRemovedError): void {
  log.warn("server error", { error });
  log.warn("data-dir used by this member must be removed");
}

/** Resolves with the first signal; from then on signals have their default action again. */
function nextStopSignal(): Promise<StopSignal> {
  return new Promise((resolve) => {
    const listener = (signal: StopSignal) => {
      process.off("SIGTERM", listener);
      process.off("SIGINT", listener);
      resolve(signal);
    };
    process.on("SIGTERM", listener);
    process.on("SIGINT", listener);
  });
}
