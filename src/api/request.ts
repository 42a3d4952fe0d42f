import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { WireError } from "../base/varint.ts";
import { Code, RpcError, type StreamCall, type UnaryCall } from "../io/rpc.ts";

/** Decodes a request by hand-written code; malformed input is answered as grpc-go answers it. */
export function decode<T>(decoder: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  try {
    return decoder(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw malformed(error);
  }
}

/** Decodes a request by generated code. */
export function decodeMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw malformed(error as Error);
  }
}

function malformed(_cause: Error): RpcError {
  return new RpcError(
    Code.INTERNAL,
    "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data",
  );
}

export function fail(call: UnaryCall | StreamCall, error: RpcError): void {
  call.fail(error.code, error.message, error.details);
}
