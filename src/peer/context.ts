import { PEER_WRITER_SIZE_MAX } from "../base/limits.ts";
import type { WireWriter } from "../base/varint.ts";
import type { Clock } from "../io/clock.ts";
import type { HttpField } from "../io/net.ts";
import type { Logger } from "../io/log.ts";
import type { Complaints } from "./complaints.ts";
import type { HandlerGate } from "./handler_gate.ts";
import type { HttpClient } from "./http/mod.ts";
import type { Identity } from "./identity.ts";
import type { PeerStatistics } from "./peer_statistics.ts";

/** What everything that speaks to a peer shares, from the start of the transport on. */
export interface PeerContext {
  readonly clock: Clock;
  readonly log: Logger;
  readonly complaints: Complaints;
  readonly client: HttpClient;
  readonly handler: HandlerGate;
  readonly identity: Identity;
  /** The identity, as it goes with every request. */
  readonly fields: readonly HttpField[];
  readonly statistics: PeerStatistics;
  /** Where messages are encoded: see `emptyWriter`. */
  readonly writer: WireWriter;
  readonly connectTimeoutMs: number;
  readonly readTimeoutMs: number;
  readonly writeTimeoutMs: number;
}

/** The writer for one message: what was in it before is gone. */
export function emptyWriter({ writer }: PeerContext): WireWriter {
  if (writer.bytes.length > PEER_WRITER_SIZE_MAX) writer.bytes = new Uint8Array(0);
  writer.reset();
  return writer;
}
