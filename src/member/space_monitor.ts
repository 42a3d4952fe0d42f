import { SURVEY_NAMED_MAX } from "../base/limits.ts";
import { formatSize } from "../base/size.ts";
import type { Clock, Timer } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import type { Keyspace } from "../keyspace/mod.ts";
import type { Job } from "./jobs.ts";
import { type PrefixSize, PrefixSurvey } from "./prefix_survey.ts";
import type { SpaceAlarm } from "./space_alarm.ts";

export interface SpaceMonitorParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly keyspace: Keyspace;
  readonly alarm: SpaceAlarm;
  /** Whether the alarm is cleared once there is room again. */
  readonly clearsAlarm: boolean;
  readonly runJob: (job: Job) => void;
}

const CHECK_INTERVAL_MS = 1000;

/** Parts of the quota at which the log warns, once per crossing: again only after the use has fallen this far below. */
const WARNING_RATIOS = [0.8, 0.9];
const WARNING_HYSTERESIS = 0.05;

/** The alarm is cleared when less than this part of the quota has been used for so long. */
const CLEAR_RATIO = 0.9;
const CLEAR_AFTER_MS = 10_000;

/** Watches how much of the quota is used: warns in time, and clears the alarm where the operator wants that. */
export class SpaceMonitor {
  readonly #parts: SpaceMonitorParts;
  #timer: Timer | undefined;
  /** How many of the warning ratios have been passed. */
  #warnings = 0;
  #largestPrefixes: readonly PrefixSize[] = [];
  #isSurveying = false;
  /** Since when there has been room while the alarm is raised. */
  #roomSinceMs: number | undefined;
  #isClearing = false;

  constructor(parts: SpaceMonitorParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.every(CHECK_INTERVAL_MS, () => this.#check());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The part of the quota that was last warned of and is still used: 0, 0.8 or 0.9. */
  get warningRatio(): number {
    return this.#warnings === 0 ? 0 : WARNING_RATIOS[this.#warnings - 1];
  }

  /** The prefixes that held the most bytes at the last warning; empty when nothing is warned of. */
  get largestPrefixes(): readonly PrefixSize[] {
    return this.#warnings === 0 ? [] : this.#largestPrefixes;
  }

  #check(): void {
    const { usedRatio } = this.#parts.keyspace.quota;
    while (this.#warnings > 0 && usedRatio < WARNING_RATIOS[this.#warnings - 1] - WARNING_HYSTERESIS) this.#warnings--;
    const before = this.#warnings;
    while (this.#warnings < WARNING_RATIOS.length && usedRatio >= WARNING_RATIOS[this.#warnings]) this.#warnings++;
    if (this.#warnings > before) this.#warn();
    if (this.#parts.clearsAlarm) this.#clearAlarm(usedRatio);
  }

  /** The names of the largest prefixes are worth the moment that it takes to find them. */
  #warn(): void {
    // The warning that is being prepared will tell of this crossing too.
    if (this.#isSurveying) return;
    this.#isSurveying = true;
    const { keyspace, runJob } = this.#parts;
    runJob(
      new PrefixSurvey(keyspace.store, SURVEY_NAMED_MAX, (largest) => {
        this.#isSurveying = false;
        this.#largestPrefixes = largest;
        this.#logWarning();
      }),
    );
  }

  #logWarning(): void {
    const { keyspace, log } = this.#parts;
    const { used, limit, usedRatio } = keyspace.quota;
    log.warn("much of the space quota is used; compact the history, delete keys or raise --quota-backend-bytes", {
      "used-percent": Math.floor(usedRatio * 100),
      "used-bytes": used,
      "used-size": formatSize(used),
      "quota-size-bytes": limit,
      "quota-size": formatSize(limit),
      "largest-prefixes": this.#largestPrefixes.map(({ prefix, size }) =>
        `${JSON.stringify(prefix)} ${formatSize(size)}`
      ),
    });
  }

  #clearAlarm(usedRatio: number): void {
    const { clock, alarm, log } = this.#parts;
    if (!alarm.isRaised || usedRatio >= CLEAR_RATIO) {
      this.#roomSinceMs = undefined;
      return;
    }
    const now = clock.monotonicMs();
    this.#roomSinceMs ??= now;
    if (this.#isClearing || now - this.#roomSinceMs < CLEAR_AFTER_MS) return;
    this.#isClearing = true;
    alarm.clear(() => {
      this.#isClearing = false;
      if (alarm.isRaised) return;
      log.info("cleared this member's NOSPACE alarm: there is room again", {
        "used-percent": Math.floor(usedRatio * 100),
      });
    });
  }
}
