/** A broken invariant of our own: a programmer's error, never an answer to input. Ends the process when nothing catches it. */
export class AssertionError extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`);
    this.name = "AssertionError";
  }
}

/** Always on: a clean crash is recoverable, a wrong apply is not. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
