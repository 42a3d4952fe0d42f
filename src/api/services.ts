import type { Method } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { authService } from "./auth.ts";
import { clusterService } from "./cluster.ts";
import { electionService } from "./election.ts";
import { kvService } from "./kv.ts";
import { leaseService } from "./lease.ts";
import { lockService } from "./lock.ts";
import { maintenanceService } from "./maintenance.ts";
import { watchService } from "./watch.ts";

export interface ServiceOptions {
  /** `--max-txn-ops` */
  readonly txnOperationsMax: number;
  /** `--max-request-bytes` */
  readonly requestSizeMax: number;
  /** `--watch-progress-notify-interval` in milliseconds */
  readonly watchProgressIntervalMs: number;
}

/** Every method that this member serves. */
export function services(member: Member, options: ServiceOptions): Method[] {
  const methods = [
    ...kvService(member, options),
    ...watchService(member, options),
    ...leaseService(member),
    ...clusterService(member),
    ...maintenanceService(member),
    ...authService(member),
  ];
  return [...methods, ...lockService(methods), ...electionService(methods)];
}
