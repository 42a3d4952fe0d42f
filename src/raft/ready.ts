/** Handing out what there is to do. */

import type { State } from "./state.ts";
import { storageAppendResponse } from "./storage_messages.ts";
import {
  type Entry,
  type HardState,
  type Message,
  NO_ENTRIES,
  type ReadState,
  type Ready,
  type SoftState,
} from "./types.ts";

/** What leaves with a Ready, and what the driver was told last and so need not hear again. */
export class Outbox {
  readonly #state: State;
  #hardState: HardState;
  #softState: SoftState;

  constructor(state: State) {
    this.#state = state;
    this.#hardState = state.hardState;
    this.#softState = { leader: state.leader, role: state.role };
  }

  get hasReady(): boolean {
    const { log, storage, apply, messages, appendResponses, readStates, applicableIndex } = this.#state;
    return log.lastIndex > storage.handedOut || messages.length > 0 || appendResponses.length > 0 ||
      apply.hasPage(applicableIndex) || readStates.length > 0 || storage.hasSnapshotToHandOut ||
      this.#hasHardStateChanged || this.#hasSoftStateChanged;
  }

  /** Everything there is to do; it is not handed out again. */
  take(): Ready {
    const state = this.#state;
    const softState = this.#hasSoftStateChanged ? { leader: state.leader, role: state.role } : undefined;
    const hardState = this.#hasHardStateChanged ? state.hardState : undefined;
    const entries = this.#takeEntries();
    const snapshot = state.storage.takeSnapshot();
    const { term, vote } = this.#hardState;
    const ready = {
      softState,
      hardState,
      entries,
      snapshot,
      mustSync: entries.length > 0 || state.term !== term || state.vote !== vote,
      messages: this.#takeMessages(),
      appendResponses: this.#takeAppendResponses(hardState !== undefined || entries.length > 0, snapshot),
      committedEntries: state.apply.takePage(state.log, state.applicableIndex),
      readStates: this.#takeReadStates(),
    };
    if (softState !== undefined) this.#softState = softState;
    if (hardState !== undefined) this.#hardState = hardState;
    return ready;
  }

  #takeEntries(): readonly Entry[] {
    const { log, storage } = this.#state;
    if (log.lastIndex === storage.handedOut) return NO_ENTRIES;
    const entries = log.slice(storage.handedOut, log.lastIndex);
    storage.handedOut = log.lastIndex;
    return entries;
  }

  #takeMessages(): readonly Message[] {
    const { messages } = this.#state;
    if (messages.length === 0) return NO_MESSAGES;
    this.#state.messages = [];
    return messages;
  }

  #takeAppendResponses(isAppending: boolean, snapshot: Ready["snapshot"]): readonly Message[] {
    const responses = this.#state.appendResponses;
    if (!isAppending && snapshot === undefined && responses.length === 0) return NO_MESSAGES;
    this.#state.appendResponses = [];
    // Any append may be the one after which the entries handed out earlier count as durable.
    const response = storageAppendResponse(this.#state, snapshot);
    if (response !== undefined) responses.push(response);
    return responses;
  }

  #takeReadStates(): readonly ReadState[] {
    const { readStates } = this.#state;
    if (readStates.length === 0) return NO_READ_STATES;
    this.#state.readStates = [];
    return readStates;
  }

  get #hasHardStateChanged(): boolean {
    const { term, vote, commit } = this.#state;
    const previous = this.#hardState;
    return commit !== previous.commit || term !== previous.term || vote !== previous.vote;
  }

  get #hasSoftStateChanged(): boolean {
    const { leader, role } = this.#state;
    return leader !== this.#softState.leader || role !== this.#softState.role;
  }
}

const NO_MESSAGES: readonly Message[] = [];
const NO_READ_STATES: readonly ReadState[] = [];
