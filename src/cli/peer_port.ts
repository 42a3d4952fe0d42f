/** The port on which other members reach this one: the sockets in front, the transport behind. */

import { ETCD_VERSION } from "../base/version.ts";
import { ConnectionLimit, Listener } from "../http/mod.ts";
import { systemClock, systemNetwork } from "../io/system/mod.ts";
import { PeerTransport } from "../peer/mod.ts";
import type { Config } from "./config.ts";
import { descriptorLimit, peerConnectionsFor } from "./descriptors.ts";
import type { ProcessLogger } from "./log/mod.ts";

export class PeerPort {
  readonly transport: PeerTransport;
  readonly #listeners: readonly Listener[];

  private constructor(listeners: readonly Listener[], transport: PeerTransport) {
    this.#listeners = listeners;
    this.transport = transport;
    for (const listener of listeners) {
      listener.accept({
        http1: (stream, head) => transport.serve(stream, head),
        // No member speaks it.
        http2: (stream) => stream.destroy(),
      });
    }
  }

  /**
   * Opens the sockets. Who comes before the transport is started is told so at once, and may try again. Throws
   * ListenError, with nothing left open.
   */
  static async open(config: Config, log: ProcessLogger): Promise<PeerPort> {
    const max = peerConnectionsFor(descriptorLimit());
    const limit = new ConnectionLimit(
      max,
      () => log.warn("too many connections of peers; closed a new one", { "limit": max }),
    );
    const opened: Listener[] = [];
    try {
      for (const url of config.listenPeerUrls) opened.push(await Listener.open(url, "http", limit, systemNetwork));
    } catch (error) {
      for (const listener of opened) listener.close();
      throw error;
    }
    const transport = new PeerTransport({
      network: systemNetwork,
      clock: systemClock,
      log,
      peerUrls: config.initialAdvertisePeerUrls.map((url) => url.text),
      version: ETCD_VERSION,
      electionTimeoutMs: config.electionTimeoutMs,
      readTimeoutMs: config.raftReadTimeoutMs,
      writeTimeoutMs: config.raftWriteTimeoutMs,
    });
    return new PeerPort(opened, transport);
  }

  /** Where it listens, with the ports that the system chose. */
  get addresses(): string[] {
    return this.#listeners.map(({ address }) => address);
  }

  /** Takes no more connections, and drops those there are. */
  async close(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    await this.transport.stop();
  }
}
