/**
 * Linearizable reads (Raft's dissertation, section 6.4): the commit index at the time of the request, once it is certain
 * that no other leader had committed more by then.
 */

import { EMPTY_BYTES } from "../base/bytes.ts";
import { broadcastHeartbeat } from "./sending.ts";
import type { State } from "./state.ts";
import type { Progress } from "./tracker/mod.ts";
import { type Message, MessageType, newMessage, NO_MEMBER } from "./types.ts";

/**
 * READ_INDEX at the leader. Its commit index may lag behind what an earlier leader committed until the first entry of its
 * own term is committed; that holds for a single voter too. (etcd's raft answers at once wherever there is a single voter,
 * also as a leader that was just removed, while that voter may lead already.)
 */
export function onReadIndex(state: State, request: Message): void {
  if (state.reads.isFull) return;
  if (!state.hasCommittedInTerm) state.reads.addEarly(request);
  else beginRead(state, request);
}

/** READ_INDEX at a follower; without a leader it is lost. */
export function forwardReadIndex(state: State, request: Message): void {
  if (state.leader !== NO_MEMBER) state.forward(request, state.leader);
}

/** READ_INDEX_RESPONSE */
export function onReadIndexResponse(state: State, { index, entries }: Message): void {
  if (entries.length === 1) state.readStates.push({ index, context: entries[0].data });
}

/** The first entry of the term is committed: reads that waited for it can begin. */
export function releaseEarlyReads(state: State): void {
  if (!state.reads.hasEarly || !state.hasCommittedInTerm) return;
  for (const request of state.reads.takeEarly()) beginRead(state, request);
}

/** A member answered the heartbeat that carried `context`. */
export function releaseReads(state: State, progress: Progress, context: Uint8Array): void {
  if (state.settings.readMode !== "safe" || context.length === 0) return;
  const position = decodePosition(context);
  if (!state.reads.isWaitingAt(position) || position <= progress.acknowledgedRead) return;
  progress.acknowledgedRead = position;
  for (const { request, index } of state.reads.confirm(state.tracker.confirmedReads())) answer(state, request, index);
}

/** What a heartbeat carries so that its answers confirm the reads that wait; nothing if none does. */
export function heartbeatContext(state: State): Uint8Array {
  const position = state.reads.lastPosition;
  return position === 0 ? EMPTY_BYTES : encodePosition(position);
}

function beginRead(state: State, request: Message): void {
  if (state.isOnlyVoter || state.settings.readMode === "lease") return answer(state, request, state.commit);
  state.reads.add(request, state.commit);
  const self = state.tracker.progressOf(state.id);
  if (self !== undefined) self.acknowledgedRead = state.reads.lastPosition;
  broadcastHeartbeat(state, heartbeatContext(state));
}

function answer(state: State, request: Message, index: number): void {
  if (request.from === NO_MEMBER || request.from === state.id) {
    state.readStates.push({ index, context: request.entries[0].data });
    return;
  }
  const response = newMessage(MessageType.READ_INDEX_RESPONSE, request.from);
  response.index = index;
  response.entries = request.entries;
  state.send(response);
}

/** 8 bytes, little-endian (frozen: other members echo them, and those of etcd 3.7 read them when they come to lead). */
function encodePosition(position: number): Uint8Array {
  const context = new Uint8Array(8);
  new DataView(context.buffer).setBigUint64(0, BigInt(position), true);
  return context;
}

/** 0 for what no leader of this kind has sent. */
function decodePosition(context: Uint8Array): number {
  if (context.length !== 8) return 0;
  return Number(new DataView(context.buffer, context.byteOffset, 8).getBigUint64(0, true));
}
