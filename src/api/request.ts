import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { WireError, WireReader } from "../base/varint.ts";
import { DepthError } from "../wire/mod.ts";
import { Code, RpcError, type StreamCall, type UnaryCall } from "../io/rpc.ts";

/** What grpc-go says of a message that is not valid protobuf: one text for unary calls, another for streams. */
const UNARY_TEXT = "grpc: error unmarshalling request: ";
const STREAM_TEXT = "grpc: failed to unmarshal the received message: ";

/** Decodes the request of a unary call by hand-written code; malformed input is answered as grpc-go answers it. */
export function decode<T>(decoder: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  return decodeWith(decoder, bytes, UNARY_TEXT);
}

/** Decodes a message of a stream by hand-written code. */
export function decodeStreamed<T>(decoder: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  return decodeWith(decoder, bytes, STREAM_TEXT);
}

/** Decodes the request of a unary call by generated code. Also called only to refuse what is malformed. */
export function decodeMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  return decodeWith((bytes) => parse(schema, bytes), bytes, UNARY_TEXT);
}

/** Decodes a message of a stream by generated code. */
export function decodeStreamMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  return decodeWith((bytes) => parse(schema, bytes), bytes, STREAM_TEXT);
}

/** A handler that needs nothing of its request, yet refuses one that is malformed. */
export function ignoringRequest(
  schema: DescMessage,
  handle: (call: UnaryCall) => void,
): (call: UnaryCall, request: Uint8Array) => void {
  return (call, request) => {
    decodeMessage(schema, request);
    handle(call);
  };
}

const INVALID_WIRE_FORMAT = "cannot parse invalid wire-format data";

/** Generated code passes over flaws of fields it does not know, so the fields are walked by hand first. */
function parse<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  const reader = new WireReader(bytes);
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) reader.skip(tag);
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw new WireError((error as Error).message);
  }
}

function decodeWith<T>(decoder: (bytes: Uint8Array) => T, bytes: Uint8Array, text: string): T {
  try {
    return decoder(bytes);
  } catch (error) {
    if (error instanceof DepthError) throw malformed(text, "exceeded maximum recursion depth");
    if (error instanceof WireError) throw malformed(text, INVALID_WIRE_FORMAT);
    throw error;
  }
}

function malformed(text: string, reason: string): RpcError {
  return new RpcError(Code.INTERNAL, `${text}proto: ${reason}`);
}

export function fail(call: UnaryCall | StreamCall, error: RpcError): void {
  call.fail(error.code, error.message, error.details);
}
