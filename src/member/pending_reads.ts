import type { MemberError } from "./proposals.ts";

/** Called once: without an error when the read may go ahead at the applied state. */
export type Read = (error: MemberError | undefined) => void;

/** Linearizable reads that came before this member could answer them: it has just started, or has no leader. */
export class PendingReads {
  #reads: { readonly read: Read; readonly sinceMs: number }[] = [];

  add(read: Read, nowMs: number): void {
    this.#reads.push({ read, sinceMs: nowMs });
  }

  /** Lets all of them go ahead, or fails them all. */
  release(error: MemberError | undefined): void {
    const reads = this.#reads;
    this.#reads = [];
    for (const { read } of reads) read(error);
  }

  expire(nowMs: number, timeoutMs: number): void {
    while (this.#reads.length > 0 && nowMs - this.#reads[0].sinceMs >= timeoutMs) this.#reads.shift()!.read("timeout");
  }
}
