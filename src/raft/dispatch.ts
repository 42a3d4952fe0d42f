/** Which handler takes which message in which role. */

import { onTimeoutNow, onVoteRequest, onVoteResponse } from "./election.ts";
import { onAppend, onHeartbeat, onSnapshot, yieldTo } from "./following.ts";
import type { StepOutcome } from "./outcome.ts";
import { appendProposal, dropProposal, forwardProposal } from "./proposal.ts";
import { forwardReadIndex, onReadIndex, onReadIndexResponse } from "./read_index.ts";
import { onAppendResponse, onHeartbeatResponse } from "./replication.ts";
import type { State } from "./state.ts";
import { onStorageAppended, onStorageApplied } from "./storage_messages.ts";
import { isForThisTerm } from "./terms.ts";
import { forgetLeader, forwardTransferLeader, onTransferLeader } from "./transfer.ts";
import { type Message, MessageType, type Role } from "./types.ts";

type Handler = (state: State, message: Message) => StepOutcome | void;

/** Takes in one message. */
export function dispatch(state: State, message: Message): StepOutcome {
  const handlers = HANDLERS[message.type];
  if (handlers === undefined) return "local message";
  if (isResponse(message) && state.tracker.slotOf(message.from) < 0) return "unknown member";
  if (!isForThisTerm(state, message)) return "accepted";
  // The role of now: a higher term may just have changed it.
  return handlers[COLUMNS[state.role]](state, message) ?? "accepted";
}

const ignore: Handler = () => {};
const onAppendAsCandidate = yieldTo(onAppend);
const onHeartbeatAsCandidate = yieldTo(onHeartbeat);
const onSnapshotAsCandidate = yieldTo(onSnapshot);

const COLUMNS: Readonly<Record<Role, number>> = { follower: 0, "pre-candidate": 1, candidate: 2, leader: 3 };

/** Types without a row never travel between members: for them there are functions that the driver calls. */
// deno-fmt-ignore
const ROWS: readonly (readonly [type: MessageType, handlers: readonly Handler[]])[] = [
  //                                         follower               pre-candidate           candidate               leader
  [MessageType.PROPOSAL,                    [forwardProposal,       dropProposal,           dropProposal,           appendProposal]],
  [MessageType.APPEND,                      [onAppend,              onAppendAsCandidate,    onAppendAsCandidate,    ignore]],
  [MessageType.APPEND_RESPONSE,             [ignore,                ignore,                 ignore,                 onAppendResponse]],
  [MessageType.HEARTBEAT,                   [onHeartbeat,           onHeartbeatAsCandidate, onHeartbeatAsCandidate, ignore]],
  [MessageType.HEARTBEAT_RESPONSE,          [ignore,                ignore,                 ignore,                 onHeartbeatResponse]],
  [MessageType.SNAPSHOT,                    [onSnapshot,            onSnapshotAsCandidate,  onSnapshotAsCandidate,  ignore]],
  [MessageType.VOTE,                        [onVoteRequest,         onVoteRequest,          onVoteRequest,          onVoteRequest]],
  [MessageType.VOTE_RESPONSE,               [ignore,                ignore,                 onVoteResponse,         ignore]],
  [MessageType.PRE_VOTE,                    [onVoteRequest,         onVoteRequest,          onVoteRequest,          onVoteRequest]],
  [MessageType.PRE_VOTE_RESPONSE,           [ignore,                onVoteResponse,         ignore,                 ignore]],
  [MessageType.TIMEOUT_NOW,                 [onTimeoutNow,          ignore,                 ignore,                 ignore]],
  [MessageType.TRANSFER_LEADER,             [forwardTransferLeader, ignore,                 ignore,                 onTransferLeader]],
  [MessageType.FORGET_LEADER,               [forgetLeader,          ignore,                 ignore,                 ignore]],
  [MessageType.READ_INDEX,                  [forwardReadIndex,      ignore,                 ignore,                 onReadIndex]],
  [MessageType.READ_INDEX_RESPONSE,         [onReadIndexResponse,   ignore,                 ignore,                 ignore]],
  [MessageType.STORAGE_APPEND_RESPONSE,     [onStorageAppended,     onStorageAppended,      onStorageAppended,      onStorageAppended]],
  [MessageType.STORAGE_APPLY_RESPONSE,      [onStorageApplied,      onStorageApplied,       onStorageApplied,       onStorageApplied]],
];

const HANDLERS: (readonly Handler[] | undefined)[] = Array.from({ length: MessageType.FORGET_LEADER + 1 });
for (const [type, handlers] of ROWS) HANDLERS[type] = handlers;

function isResponse({ type }: Message): boolean {
  return type === MessageType.APPEND_RESPONSE || type === MessageType.HEARTBEAT_RESPONSE ||
    type === MessageType.VOTE_RESPONSE || type === MessageType.PRE_VOTE_RESPONSE ||
    type === MessageType.READ_INDEX_RESPONSE;
}
