import { AuthStore } from "../auth/mod.ts";
import { Lessor } from "../lease/mod.ts";
import { SlabPool, Store } from "../mvcc/mod.ts";
import { WatchHub } from "../watch/mod.ts";
import { Alarms } from "./alarms.ts";
import { Quota } from "./quota.ts";

export interface KeyspaceOptions {
  /** Leases are granted for at least one and a half of this. */
  readonly electionTimeoutMs: number;
  /** An expired lease whose revocation has not been applied after this long is revoked again. */
  readonly revokeRetryMs: number;
  /** How often what is left of long leases is written to the log; the same on all members. Default: never, as etcd's. */
  readonly leaseCheckpointIntervalMs?: number;
  /** Seeds hash tables against keys chosen to collide; members may differ in it. */
  readonly hashSeed: number;
  /** As `--quota-backend-bytes`: 0, the default, for 2 GiB, negative for no bound. Members may differ in it. */
  readonly quotaBackendBytes?: number;
  /** Bytes of one slab of the store. Default: SLAB_SIZE. */
  readonly slabSize?: number;
}

/** What is not readonly here changes only as a whole, with `replaceBy`: nobody may keep a part of it over turns. */
export class Keyspace {
  store: Store;
  lessor: Lessor;
  readonly watchHub: WatchHub;
  alarms = new Alarms();
  auth = new AuthStore();
  quota: Quota;

  constructor(options: KeyspaceOptions) {
    this.store = new Store(new SlabPool(options.slabSize));
    this.lessor = new Lessor({
      minTtl: Math.ceil(1.5 * options.electionTimeoutMs / 1000),
      retryMs: options.revokeRetryMs,
      checkpointIntervalMs: options.leaseCheckpointIntervalMs ?? Infinity,
      hashSeed: options.hashSeed,
    });
    this.watchHub = new WatchHub(this.store, options.hashSeed);
    this.quota = new Quota(options.quotaBackendBytes ?? 0, this.store, this.lessor);
  }

  /**
   * Takes over the state of another keyspace, which is of no use then. Watchers go on from where they stood, as far as
   * the new history reaches back; whoever reads the old state at a revision may do so to the end.
   */
  replaceBy({ store, lessor, alarms, auth, quota }: Keyspace): void {
    this.store = store;
    this.lessor = lessor;
    this.alarms = alarms;
    this.auth = auth;
    this.quota = quota;
    this.watchHub.restore(store);
  }
}
