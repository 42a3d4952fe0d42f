import { ApiError } from "./errors.ts";
import type { Method, UnaryCall } from "../io/rpc.ts";
import { startStream, type StreamMethod, wholeMessage } from "../io/rpc_local.ts";

/** keelson.v1.Lease: one renewal per call, over etcd's stream of them. */
export function browserLeaseService(keepAlive: StreamMethod): Method[] {
  return [{
    kind: "unary",
    path: "/keelson.v1.Lease/KeepAlive",
    handle: (call, request) => renew(keepAlive, call, request),
  }];
}

async function renew(keepAlive: StreamMethod, call: UnaryCall, request: Uint8Array): Promise<void> {
  const renewal = startStream(keepAlive, undefined, call);
  call.onCancel((cause) => renewal.cancel(cause));
  renewal.write(request);
  renewal.halfClose();
  const answer = await renewal.receive();
  if (answer === undefined) throw ApiError.STOPPED;
  call.reply(wholeMessage(answer));
  renewal.cancel(ApiError.STOPPED);
}
