/** How the members of a cluster reach one another. Members are known by their position. */
export interface ClusterNetwork {
  /** What it is made of, for people. */
  readonly tool: string;
  /** Where a member listens. */
  hostOf(member: number): string;
  /** What runs before a member's own command, in its process. */
  wrapperOf(member: number): readonly string[];
  listenPeerUrlOf(member: number): string;
  /** What a member tells the others to dial. */
  peerUrlOf(member: number): string;
}

/** One that can be broken. */
export interface FaultyNetwork extends ClusterNetwork {
  /** From now on nothing sent by one arrives at the other; the other way may still work. Nobody is told. */
  cut(from: number, to: number): Promise<void>;
  /** Every link delays, and loses as much as the tool can. */
  slow(): Promise<void>;
  /** Ends what was cut or slowed. */
  heal(): Promise<void>;
}
