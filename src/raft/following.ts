/** What a member does with what its leader sends. */

import { assert } from "../base/assert.ts";
import { becomeFollower } from "./roles.ts";
import type { State } from "./state.ts";
import { isMember, type Message, MessageType, newMessage, type Snapshot } from "./types.ts";

/** APPEND */
export function onAppend(state: State, message: Message): void {
  follow(state, message.from);
  const { log } = state;
  // What is committed here is the same everywhere: the leader may go on behind it.
  if (message.index < state.commit) return acknowledge(state, message.from, state.commit);
  if (!log.matches(message.index, message.logTerm)) return reject(state, message);
  appendEntries(state, message);
  const lastIndex = message.index + message.entries.length;
  // Behind that, this log may still have entries that the leader does not have.
  state.commitTo(Math.min(message.commit, lastIndex));
  acknowledge(state, message.from, lastIndex);
}

/** HEARTBEAT. The context is the leader's own: it goes back byte for byte. */
export function onHeartbeat(state: State, message: Message): void {
  follow(state, message.from);
  state.commitTo(message.commit);
  const response = newMessage(MessageType.HEARTBEAT_RESPONSE, message.from);
  response.context = message.context;
  state.send(response);
}

/** SNAPSHOT */
export function onSnapshot(state: State, { from, snapshot }: Message): void {
  follow(state, from);
  if (snapshot === undefined || !restore(state, snapshot)) acknowledge(state, from, state.commit);
  else acknowledge(state, from, state.log.lastIndex);
}

/** A candidate hears of the leader of its own term: the election is over. */
export function yieldTo(handler: (state: State, message: Message) => void): typeof handler {
  return (state, message) => {
    becomeFollower(state, message.term, message.from);
    handler(state, message);
  };
}

function follow(state: State, leader: bigint): void {
  state.electionElapsed = 0;
  state.leader = leader;
}

function acknowledge(state: State, to: bigint, index: number): void {
  const response = newMessage(MessageType.APPEND_RESPONSE, to);
  response.index = index;
  state.sendWhenDurable(response);
}

/** Tells the leader where the logs may agree: at the last entry of ours whose term is not above that of its own. */
function reject(state: State, { from, index, logTerm }: Message): void {
  const { log } = state;
  const response = newMessage(MessageType.APPEND_RESPONSE, from);
  response.index = index;
  response.reject = true;
  response.rejectHint = log.lastIndexWithTermUpTo(Math.min(index, log.lastIndex), logTerm);
  response.logTerm = response.rejectHint === 0 ? 0 : Math.max(log.termOrNone(response.rejectHint), 0);
  state.sendWhenDurable(response);
}

/** Appends what is new; where an entry differs, the leader's replace ours from there on. */
function appendEntries(state: State, { entries }: Message): void {
  const { log, storage } = state;
  const known = log.countMatching(entries);
  if (known === entries.length) return;
  const first = entries[known].index;
  assert(first > state.commit, "no entry replaces a committed one");
  if (first <= log.lastIndex) {
    log.truncate(first - 1);
    storage.truncate(first - 1);
  }
  for (let i = known; i < entries.length; i++) log.append(entries[i]);
}

/** Puts a snapshot in the place of the log; false if it brings nothing that this member lacks. */
function restore(state: State, snapshot: Snapshot): boolean {
  const { index, term, confState } = snapshot;
  if (index <= state.commit) return false;
  // Then it was meant for another one.
  if (!isMember(confState, state.id)) return false;
  if (state.log.matches(index, term)) {
    state.commitTo(index);
    return false;
  }
  state.log.restore(index, term);
  state.storage.restore(snapshot);
  state.apply.forgetPages();
  state.commit = index;
  // Its configuration comes into force with its state: entries before it may still be on their way to being applied.
  return true;
}
