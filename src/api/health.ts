import { create, toBinary } from "@bufbuild/protobuf";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  HealthListResponseSchema,
} from "../gen/grpc/health/v1/health_pb.ts";
import { Code, type Method, RpcError, type StreamCall } from "../io/rpc.ts";
import { decodeMessage } from "./request.ts";

/**
 * grpc.health.v1.Health as grpc-go's health server answers for etcd: the one service it knows is "", the server as a
 * whole. Texts are grpc-go's.
 */
export class HealthService {
  #isServing = true;
  readonly #watchers = new Set<StreamCall>();

  /** What Check and List answer, and open watches are told, from now on. */
  setServing(isServing: boolean): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    for (const call of this.#watchers) call.send(statusMessage(this.#status));
  }

  get methods(): Method[] {
    return [
      {
        kind: "unary",
        path: "/grpc.health.v1.Health/Check",
        handle: (call, request) => {
          if (serviceOf(request) !== "") throw new RpcError(Code.NOT_FOUND, "unknown service");
          call.reply(statusMessage(this.#status));
        },
      },
      {
        kind: "unary",
        path: "/grpc.health.v1.Health/List",
        handle: (call) => {
          const statuses = { "": create(HealthCheckResponseSchema, { status: this.#status }) };
          call.reply(toBinary(HealthListResponseSchema, create(HealthListResponseSchema, { statuses })));
        },
      },
      {
        kind: "server_streaming",
        path: "/grpc.health.v1.Health/Watch",
        handle: (call, request) => {
          if (serviceOf(request) !== "") {
            // It stays open: the service might be registered one day.
            call.send(statusMessage(ServingStatus.SERVICE_UNKNOWN));
            return;
          }
          call.send(statusMessage(this.#status));
          this.#watchers.add(call);
          call.onCancel(() => this.#watchers.delete(call));
        },
      },
    ];
  }

  get #status(): ServingStatus {
    return this.#isServing ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }
}

function serviceOf(request: Uint8Array): string {
  return decodeMessage(HealthCheckRequestSchema, request).service;
}

function statusMessage(status: ServingStatus): Uint8Array {
  return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
}
