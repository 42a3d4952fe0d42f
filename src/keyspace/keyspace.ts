import { Lessor } from "../lease/mod.ts";
import { Store } from "../mvcc/mod.ts";
import { WatchHub } from "../watch/mod.ts";
import { Alarms } from "./alarms.ts";

export interface KeyspaceOptions {
  /** Leases are granted for at least one and a half of this. */
  readonly electionTimeoutMs: number;
  /** An expired lease whose revocation has not been applied after this long is revoked again. */
  readonly revokeRetryMs: number;
  /** Seeds hash tables against keys chosen to collide; members may differ in it. */
  readonly hashSeed: number;
}

export class Keyspace {
  readonly store = new Store();
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly alarms = new Alarms();

  constructor(options: KeyspaceOptions) {
    this.lessor = new Lessor({
      minTtl: Math.ceil(1.5 * options.electionTimeoutMs / 1000),
      retryMs: options.revokeRetryMs,
      // etcd's feature gate LeaseCheckpoint is off by default.
      checkpointIntervalMs: Infinity,
      hashSeed: options.hashSeed,
    });
    this.watchHub = new WatchHub(this.store, options.hashSeed);
  }
}
