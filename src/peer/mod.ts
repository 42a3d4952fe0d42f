/**
 * Member to member: what a member needs of the way to its peers, and what it offers them.
 *
 * It knows nothing of what messages and snapshots mean.
 *
 * Invariants
 * 1. Sending never waits and never fails out loud: what cannot be sent is dropped, and reported as unreachable.
 * 2. Nothing is handled on arrival: the handler queues.
 *
 * Read: transport.
 */
export { urlAsker } from "./question_call.ts";
export type { Answer, AskUrl, Question, SnapshotView, Transport, TransportHandler } from "./transport.ts";
