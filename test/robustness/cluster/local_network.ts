import type { Context } from "../context.ts";
import type { ClusterNetwork } from "./network.ts";

/** Members that reach one another on the loopback, where nothing can be broken. */
export class LocalNetwork implements ClusterNetwork {
  readonly tool = "the loopback";
  readonly #ports: readonly number[];

  constructor(context: Context, size: number) {
    this.#ports = Array.from({ length: size }, () => context.takePort());
  }

  hostOf(): string {
    return "127.0.0.1";
  }

  wrapperOf(): readonly string[] {
    return [];
  }

  listenPeerUrlOf(member: number): string {
    return `http://127.0.0.1:${this.#ports[member]}`;
  }

  peerUrlOf(member: number): string {
    return this.listenPeerUrlOf(member);
  }
}
