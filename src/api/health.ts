import { create, toBinary } from "@bufbuild/protobuf";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  HealthListRequestSchema,
  HealthListResponseSchema,
} from "../gen/grpc/health/v1/health_pb.ts";
import { Code, type Method, RpcError } from "../io/rpc.ts";
import { decodeMessage, decodeStreamMessage, ignoringRequest } from "./request.ts";

const SERVICE = "/grpc.health.v1.Health/";

/**
 * grpc.health.v1.Health as grpc-go's health server answers for etcd: the one service it knows is "", the server as a
 * whole, and that serves as long as it answers at all. (etcd changes that only while defragmenting, behind a feature gate.)
 */
export function healthService(): Method[] {
  return [
    {
      kind: "unary",
      path: `${SERVICE}Check`,
      handle: (call, request) => {
        if (decodeMessage(HealthCheckRequestSchema, request).service !== "") {
          throw new RpcError(Code.NOT_FOUND, "unknown service");
        }
        call.reply(statusMessage(ServingStatus.SERVING));
      },
    },
    {
      kind: "unary",
      path: `${SERVICE}List`,
      handle: ignoringRequest(HealthListRequestSchema, (call) => {
        const statuses = { "": create(HealthCheckResponseSchema, { status: ServingStatus.SERVING }) };
        call.reply(toBinary(HealthListResponseSchema, create(HealthListResponseSchema, { statuses })));
      }),
    },
    {
      kind: "server_streaming",
      path: `${SERVICE}Watch`,
      handle: (call, request) => {
        // The stream stays open either way: an unknown service might be registered one day.
        const isKnown = decodeStreamMessage(HealthCheckRequestSchema, request).service === "";
        call.send(statusMessage(isKnown ? ServingStatus.SERVING : ServingStatus.SERVICE_UNKNOWN));
      },
    },
  ];
}

function statusMessage(status: ServingStatus): Uint8Array {
  return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
}
