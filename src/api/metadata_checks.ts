import { bytesFromLatin1 } from "../base/bytes.ts";
import type { Call, Method, StreamCall, UnaryCall } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { ApiError } from "./errors.ts";

const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** The same methods, refusing calls whose metadata etcd refuses, in its order, before the request is looked at. */
export function withMetadataChecks(methods: readonly Method[], member: Member): Method[] {
  return methods.map((method): Method => {
    // One case per shape of a call: their handlers differ in type.
    switch (method.kind) {
      case "unary": {
        const handle = (call: UnaryCall, request: Uint8Array) => {
          check(call, member);
          return method.handle(call, request);
        };
        return { ...method, handle };
      }
      case "server_streaming": {
        const handle = (call: StreamCall, request: Uint8Array) => {
          check(call, member);
          return method.handle(call, request);
        };
        return { ...method, handle };
      }
      default: {
        const handle = (call: StreamCall) => {
          check(call, member);
          return method.handle(call);
        };
        return { ...method, handle };
      }
    }
  });
}

/** Throws what the call is refused with. */
function check({ metadata }: Call, member: Member): void {
  const version = metadata.get("client-api-version");
  if (version !== undefined && !isUtf8(version)) throw ApiError.INVALID_CLIENT_API_VERSION;
  if (metadata.get("hasleader") === "true" && member.raftStatus.leader === 0n) throw ApiError.NO_LEADER;
}

/** Metadata arrives as one UTF-16 unit per byte. */
function isUtf8(latin1Text: string): boolean {
  for (let i = 0; i < latin1Text.length; i++) {
    if (latin1Text.charCodeAt(i) < 0x80) continue;
    try {
      strictDecoder.decode(bytesFromLatin1(latin1Text));
      return true;
    } catch (error) {
      if (error instanceof TypeError) return false;
      throw error;
    }
  }
  return true;
}
