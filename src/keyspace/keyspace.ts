import { AuthStore } from "../auth/mod.ts";
import { Lessor } from "../lease/mod.ts";
import { Store } from "../mvcc/mod.ts";
import { WatchHub } from "../watch/mod.ts";
import { Alarms } from "./alarms.ts";
import { Quota } from "./quota.ts";

export interface KeyspaceOptions {
  /** Leases are granted for at least one and a half of this. */
  readonly electionTimeoutMs: number;
  /** An expired lease whose revocation has not been applied after this long is revoked again. */
  readonly revokeRetryMs: number;
  /** Seeds hash tables against keys chosen to collide; members may differ in it. */
  readonly hashSeed: number;
  /** As `--quota-backend-bytes`: 0, the default, for 2 GiB, negative for no bound. Members may differ in it. */
  readonly quotaBackendBytes?: number;
}

export class Keyspace {
  readonly store = new Store();
  readonly lessor: Lessor;
  readonly watchHub: WatchHub;
  readonly alarms = new Alarms();
  readonly auth = new AuthStore();
  readonly quota: Quota;

  constructor(options: KeyspaceOptions) {
    this.lessor = new Lessor({
      minTtl: Math.ceil(1.5 * options.electionTimeoutMs / 1000),
      retryMs: options.revokeRetryMs,
      // etcd's feature gate LeaseCheckpoint is off by default.
      checkpointIntervalMs: Infinity,
      hashSeed: options.hashSeed,
    });
    this.watchHub = new WatchHub(this.store, options.hashSeed);
    this.quota = new Quota(options.quotaBackendBytes ?? 0, this.store, this.lessor);
  }
}
