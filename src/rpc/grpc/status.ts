import { utf8 } from "../../base/bytes.ts";
import type { HttpField } from "../../io/net.ts";
import { Code } from "../../io/rpc.ts";
import { HeaderTemplate } from "../http2/mod.ts";

/** The end of every call that went well. */
export const OK_TRAILERS = new HeaderTemplate([["grpc-status", String(Code.OK)]]);

/** The trailers that carry a status; `details` is a serialized google.rpc.Status. */
export function statusFields(code: Code, message: string, details?: Uint8Array): HttpField[] {
  const fields: HttpField[] = [["grpc-status", String(code)], ["grpc-message", encodeMessage(message)]];
  if (details !== undefined) fields.push(["grpc-status-details-bin", encodeBinary(details)]);
  return fields;
}

/** Percent-encodes what is not printable ASCII, and the percent sign, as UTF-8 bytes in upper-case hexadecimal. */
export function encodeMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let encoded = "";
  for (const byte of utf8(message)) {
    encoded += byte >= 0x20 && byte <= 0x7e && byte !== 0x25
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}

/** Base64 without padding, as gRPC sends binary metadata. */
function encodeBinary(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replace(/=+$/, "");
}

/** The position of the first byte that is not base64 with or without padding, -1 if all are: what Go's decoder reports. */
export function corruptBase64At(text: string): number {
  const isPadded = text.length % 4 === 0;
  const content = isPadded ? text.replace(/={1,2}$/, "") : text;
  for (let i = 0; i < content.length; i++) if (!/[A-Za-z0-9+/]/.test(content[i])) return i;
  return content.length % 4 === 1 ? content.length - 1 : -1;
}
