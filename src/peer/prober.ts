import { utf8Text } from "../base/bytes.ts";
import { PEER_REPLY_SIZE_MAX } from "../base/limits.ts";
import type { Timer } from "../io/clock.ts";
import { idText } from "../membership/mod.ts";
import type { PeerContext } from "./context.ts";
import type { PeerFigures } from "./peer_statistics.ts";
import { msFromTimestamp } from "./timestamp.ts";
import type { UrlPicker } from "./url_picker.ts";

export const PROBING_PATH = "/raft/probing";

/** etcd probes so much more often than the read timeout. */
const PROBE_MARGIN_MS = 1000;
const CLOCK_DRIFT_MS_MAX = 1000;
/** How much a new round trip counts in the smoothed one. */
const ROUND_TRIP_WEIGHT = 1 / 8;
/** etcd has one prober for each way to a peer; here they are the same. */
const ROUND_TRIPPER = "ROUND_TRIPPER_RAFT_MESSAGE";

/** Asks a peer from time to time what time it is: how long the way there is, and whether the clocks agree. */
export class Prober {
  readonly #context: PeerContext;
  readonly #peerId: bigint;
  readonly #figures: PeerFigures;
  readonly #picker: UrlPicker;
  #timer: Timer | undefined;
  #isProbing = false;
  #isStopped = false;
  /** Undefined before the first answer. */
  #roundTripMs: number | undefined;
  #isHealthy = true;
  #isDrifting = false;

  constructor(context: PeerContext, peerId: bigint, figures: PeerFigures, picker: UrlPicker) {
    this.#context = context;
    this.#peerId = peerId;
    this.#figures = figures;
    this.#picker = picker;
  }

  start(): void {
    const { clock, readTimeoutMs } = this.#context;
    const intervalMs = Math.max(readTimeoutMs - PROBE_MARGIN_MS, readTimeoutMs / 2);
    this.#timer = clock.every(intervalMs, () => {
      if (!this.#isProbing) void this.#probe();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  async #probe(): Promise<void> {
    const { clock } = this.#context;
    const startMs = clock.monotonicMs();
    this.#isProbing = true;
    let remoteMs: number | undefined;
    let reason = "there is no address to reach it at";
    try {
      remoteMs = await this.#ask();
    } catch (error) {
      reason = (error as Error).message;
    }
    this.#isProbing = false;
    if (this.#isStopped) return;
    if (remoteMs === undefined) return this.#fail(reason);
    this.#isHealthy = true;
    this.#observe(clock.monotonicMs() - startMs, remoteMs);
  }

  /** The peer's time, in milliseconds. */
  async #ask(): Promise<number | undefined> {
    const url = this.#picker.picked;
    if (url === undefined) return undefined;
    const { client, connectTimeoutMs, readTimeoutMs } = this.#context;
    const patience = {
      connectMs: connectTimeoutMs,
      answerMs: readTimeoutMs,
      idleMs: readTimeoutMs,
      stallMs: readTimeoutMs,
    };
    const request = { method: "GET", path: PROBING_PATH, headers: [], patience } as const;
    const { status, body } = await client.collect(url, request, PEER_REPLY_SIZE_MAX);
    if (status !== 200) throw new Error(`got unexpected HTTP status code ${status} from ${url.text}`);
    const { OK, Now } = JSON.parse(utf8Text(body)) as { OK?: unknown; Now?: unknown };
    const nowMs = OK === true && typeof Now === "string" ? msFromTimestamp(Now) : undefined;
    if (nowMs === undefined) throw new Error(`got no time from ${url.text}`);
    return nowMs;
  }

  #fail(reason: string): void {
    if (!this.#isHealthy) return;
    this.#isHealthy = false;
    this.#context.log.warn("prober detected unhealthy status", { ...this.#logFields(), "error": reason });
  }

  #observe(tookMs: number, remoteMs: number): void {
    const before = this.#roundTripMs ?? tookMs;
    this.#roundTripMs = before + ROUND_TRIP_WEIGHT * (tookMs - before);
    this.#figures.roundTripSeconds.observe(this.#roundTripMs / 1000);
    const driftMs = this.#context.clock.wallMs() - remoteMs - this.#roundTripMs / 2;
    const isDrifting = Math.abs(driftMs) > CLOCK_DRIFT_MS_MAX;
    if (isDrifting && !this.#isDrifting) {
      this.#context.log.warn("prober found high clock drift", {
        ...this.#logFields(),
        "clock-drift": `${Math.round(driftMs) / 1000}s`,
      });
    }
    this.#isDrifting = isDrifting;
  }

  #logFields(): Record<string, string> {
    return {
      "round-tripper-name": ROUND_TRIPPER,
      "remote-peer-id": idText(this.#peerId),
      "rtt": `${(this.#roundTripMs ?? 0).toFixed(3)}ms`,
    };
  }
}
