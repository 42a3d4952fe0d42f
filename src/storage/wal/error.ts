/** What is wrong with a log, where, and what to do about it. */

export class WalError extends Error {
  readonly file: string;
  /** Byte offset in `file`. */
  readonly offset: number;

  constructor(file: string, offset: number, found: string, advice: string, options?: ErrorOptions) {
    super(`wal: ${file}, byte ${offset}: ${found}; ${advice}`, options);
    this.name = "WalError";
    this.file = file;
    this.offset = offset;
  }
}

/** For damage: nothing is repaired by guessing, so the only ways on lead through a good copy. */
export const DAMAGE_ADVICE = "the log is damaged and was left as it is: restore this file from a good copy, " +
  "or this member from a snapshot, or remove the member and add it again with an empty data directory";

export function damage(file: string, offset: number, found: string): WalError {
  return new WalError(file, offset, found, DAMAGE_ADVICE);
}
