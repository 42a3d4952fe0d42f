import type { Clock } from "../io/clock.ts";
import type { Crypto } from "../io/crypto.ts";
import type { Logger } from "../io/log.ts";
import type { MemoryBudget, Method } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { authService } from "./auth.ts";
import { browserLeaseService } from "./browser_lease.ts";
import { browserWatchService } from "./browser_watch.ts";
import { clusterService } from "./cluster.ts";
import { serviceDescriptors } from "./descriptors.ts";
import { electionService } from "./election.ts";
import { healthService } from "./health.ts";
import { kvService } from "./kv.ts";
import { leaseService } from "./lease.ts";
import { LocalServices } from "./local_client.ts";
import { lockService } from "./lock.ts";
import { maintenanceService } from "./maintenance.ts";
import { withMetadataChecks } from "./metadata_checks.ts";
import { reflectionService } from "./reflection.ts";
import { withSlowCallWarning } from "./slow_calls.ts";
import { watchService } from "./watch.ts";

export interface ServiceOptions {
  /** `--max-txn-ops` */
  readonly txnOperationsMax: number;
  /** `--max-request-bytes` */
  readonly requestSizeMax: number;
  /** `--watch-progress-notify-interval` in milliseconds */
  readonly watchProgressIntervalMs: number;
  /** Bounds what all responses together hold in memory. */
  readonly budget: MemoryBudget;
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly log: Logger;
  /** `--warning-unary-request-duration` in milliseconds */
  readonly warningUnaryMs: number;
}

/** Every method that this member serves. */
export function services(member: Member, options: ServiceOptions): Method[] {
  const methods = [
    ...kvService(member, options),
    ...watchService(member, options),
    ...leaseService(member),
    ...clusterService(member),
    ...maintenanceService(member, options),
    ...authService(member),
  ];
  const local = new LocalServices(methods);
  const all = [
    ...methods,
    ...lockService(methods),
    ...electionService(methods),
    ...healthService(),
    ...reflectionService(serviceDescriptors),
    ...browserWatchService(local.stream("/etcdserverpb.Watch/Watch"), options.clock),
    ...browserLeaseService(local.stream("/etcdserverpb.Lease/LeaseKeepAlive")),
  ];
  const checked = withMetadataChecks(all, member);
  return withSlowCallWarning(checked, { clock: options.clock, log: options.log, warningMs: options.warningUnaryMs });
}
