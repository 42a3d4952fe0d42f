import { gunzipSync, gzipSync } from "node:zlib";
import { Code, RpcError } from "../../io/rpc.ts";

/** Decompresses a message; throws RpcError with grpc-go's codes and texts. A bomb stops at `sizeMax`. */
export function gunzip(message: Uint8Array, sizeMax: number): Uint8Array {
  if (message.length < 10 || message[0] !== 0x1f || message[1] !== 0x8b || message[2] !== 8) {
    const text = message.length === 0 ? "EOF" : message.length < 10 ? "unexpected EOF" : "gzip: invalid header";
    throw new RpcError(Code.INTERNAL, `grpc: failed to decompress the message: ${text}`);
  }
  try {
    return gunzipSync(message, { maxOutputLength: sizeMax });
  } catch (error) {
    const code = (error as { code?: string }).code;
    if (code === "ERR_BUFFER_TOO_LARGE") {
      throw new RpcError(
        Code.RESOURCE_EXHAUSTED,
        `grpc: received message after decompression larger than max ${sizeMax}`,
      );
    }
    const text = code === "Z_BUF_ERROR" ? "unexpected EOF" : (error as Error).message;
    throw new RpcError(Code.INTERNAL, `grpc: failed to read decompressed data: ${text}`);
  }
}

/** Fast rather than small: a reply is compressed on the thread that serves everybody. */
export function gzip(message: Uint8Array): Uint8Array {
  return gzipSync(message, { level: 1 });
}
