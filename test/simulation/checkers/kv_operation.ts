/** Operations that act upon keys, as both checkers of responses see them: those of clients, and leases that ended. */

import type { KvRequest, LeaseRevokeRequest, Operation, Request } from "../observations.ts";
import { predict, type Prediction, predictRevoke, type Records } from "./kv_model.ts";

export type KeyRequest = KvRequest | LeaseRevokeRequest;

export function isKeyRequest(request: Request): request is KeyRequest {
  return request.kind === "leaseRevoke" || isKvRequest(request);
}

export function isKvRequest(request: Request): request is KvRequest {
  return request.kind === "range" || request.kind === "put" || request.kind === "deleteRange" || request.kind === "txn";
}

/** A read of what was, or of what the member at hand has: it takes no part in the order of operations. */
export function isOldRead({ request }: Operation): boolean {
  return request.kind === "range" && (request.revision > 0 || request.isSerializable);
}

/** As `predict`, for revocations too; their response says nothing of keys. */
export function predictKeys(
  request: KeyRequest,
  records: Records,
  revision: number,
): (Omit<Prediction, "response"> & { response: Prediction["response"] | undefined })[] {
  if (request.kind !== "leaseRevoke") return predict(request, records, revision);
  return [{ ...predictRevoke(request.id, records), response: undefined }];
}
