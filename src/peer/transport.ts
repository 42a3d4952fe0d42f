import type { Message } from "../raft/mod.ts";

/** One state of the database, as it is sent: a file that does not change while it is open. */
export interface SnapshotView {
  readonly size: number;
  /** Fills `target` from `position` on; returns the count, less than asked for only at the end. Rejects if the file is damaged. */
  read(target: Uint8Array, position: number): Promise<number>;
  /** Closing twice is the same as once. */
  close(): Promise<void>;
}

/** What one member asks another outside of raft, in the form of an HTTP request. */
export interface Question {
  readonly method: "GET" | "POST";
  /** Path and query: "/members/promote/10276657743932975437". */
  readonly path: string;
  /** Empty where there is no body. */
  readonly contentType: string;
  /** Belongs to whoever takes the question. */
  readonly body: Uint8Array;
}

/** What it is told: an HTTP response. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Uint8Array;
  /** The cluster of whoever answered, as the answer says; a member that answers leaves it to the transport. */
  readonly clusterId?: bigint;
}

/** Asks whoever is at a peer URL, as `Transport.ask` asks a peer: also before this member takes part in any cluster. */
export type AskUrl = (peerUrl: string, question: Question, timeoutMs: number) => Promise<Answer | undefined>;

/**
 * How a member reaches the others. Messages may be lost, doubled and reordered, but arrive unchanged or not at all, and
 * `Message.from` is who really sent them. Nothing here throws or waits; peers that are not known are ignored.
 */
export interface Transport {
  /** Begins to take in what others send, in the name of member `id` of cluster `clusterId`. Once, before everything else. */
  start(id: bigint, clusterId: bigint, handler: TransportHandler): void;
  /** Lets go of everything; resolves when `handler` will not be called again. */
  stop(): Promise<void>;

  /** From now on there is this peer, or it is found elsewhere. */
  addPeer(id: bigint, peerUrls: readonly string[]): void;
  updatePeer(id: bigint, peerUrls: readonly string[]): void;
  removePeer(id: bigint): void;

  /** Sends each message to its `to`, those to one peer in their order. What there is no room for is dropped and reported. */
  send(messages: readonly Message[]): void;
  /**
   * Sends a message that carries a snapshot, and the database that belongs to it. True once the peer has both safely; false
   * if that failed. Never rejects; does not close `view`.
   */
  sendSnapshot(message: Message, view: SnapshotView): Promise<boolean>;

  /**
   * Puts a question to a peer: the transport carries it there and the answer back, and knows nothing of either. Undefined
   * where no answer came within `timeoutMs`. Never rejects. It may have reached the peer even so.
   */
  ask(to: bigint, question: Question, timeoutMs: number): Promise<Answer | undefined>;

  /** Monotonic milliseconds since when the peer can be reached without a break; undefined: it cannot at present. */
  activeSinceMs(id: bigint): number | undefined;
  /** The version that the peer's program said it is, for example "3.7.1"; undefined: not known. */
  versionOf(id: bigint): string | undefined;
}

/** What a transport tells its member. Nothing is handled on arrival, and nothing throws. */
export interface TransportHandler {
  /** A message came; its bytes belong to the member from now on. */
  receive(message: Message): void;
  /**
   * A snapshot came, and its database piece by piece. Resolves once both are safe and the message is taken in. Rejects
   * with the reason if the pieces end early (their iterator threw), do not fit the disk, or the snapshot is not wanted.
   */
  receiveSnapshot(message: Message, pieces: AsyncIterable<Uint8Array>): Promise<void>;
  /** A peer, or whoever else reaches the peer port, asks something. Never rejects. */
  answer(question: Question): Promise<Answer>;
  /** Something sent to this peer was lost, for sure or maybe. */
  reportUnreachable(id: bigint): void;
  /** Where this peer was, nobody listens any more: its process has most likely ended. Said again and again meanwhile. */
  reportGone(id: bigint): void;
  /** The cluster has removed this member for ever: the peer is to be told so. */
  isRemoved(id: bigint): boolean;
  /** Another member says, credibly, that this one was removed from the cluster. */
  reportRemoved(): void;
}
