/** What became of an input. Only proposals are ever refused out loud: all else may be lost anyway, as messages are. */
export type StepOutcome =
  | "accepted"
  /** No leader is known, leadership is being handed over, or too much is uncommitted: propose again later. */
  | "proposal dropped"
  /** A type of message that never travels between members. */
  | "local message"
  /** An answer from one that is not a member, as when it was just removed. */
  | "unknown member";
