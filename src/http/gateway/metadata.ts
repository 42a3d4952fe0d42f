/** HTTP request headers as the metadata of a call: grpc-gateway's default rules. */

import { Code, type Metadata, RpcError } from "../../io/rpc.ts";
import { metadataFromPairs } from "../../io/rpc_local.ts";

const METADATA_PREFIX = "grpc-metadata-";

/** Headers that are passed on under "grpcgateway-". */
const PERMANENT_HEADERS = new Set([
  "accept",
  "accept-charset",
  "accept-language",
  "accept-ranges",
  "authorization",
  "cache-control",
  "content-type",
  "cookie",
  "date",
  "expect",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-schedule-tag-match",
  "if-unmodified-since",
  "max-forwards",
  "origin",
  "pragma",
  "referer",
  "user-agent",
  "via",
  "warning",
]);

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 };

export interface GatewayContext {
  readonly metadata: Metadata;
  /** Milliseconds the call may take; Infinity where the client set none. */
  readonly timeoutMs: number;
}

/** Throws RpcError INVALID_ARGUMENT. `peer` is as `Call.peer`. */
export function gatewayContext(headers: Headers, peer: string): GatewayContext {
  const timeoutMs = timeoutOf(headers.get("grpc-timeout"));
  const pairs: [string, string][] = [];
  for (const [name, value] of headers) {
    if (name === "x-forwarded-for" || name === "x-forwarded-host") continue;
    if (name === "authorization") pairs.push([name, value]);
    const key = PERMANENT_HEADERS.has(name)
      ? `grpcgateway-${name}`
      : name.startsWith(METADATA_PREFIX)
      ? name.slice(METADATA_PREFIX.length)
      : undefined;
    if (key === undefined || !/^[0-9a-z_.-]*$/.test(key)) continue;
    if (name.endsWith("-bin")) checkBinary(name, value);
    else if (!/^[\x20-\x7e]*$/.test(value)) continue;
    pairs.push([key, value]);
  }
  const host = headers.get("x-forwarded-host") || headers.get("host");
  if (host) pairs.push(["x-forwarded-host", host]);
  const addresses = [headers.get("x-forwarded-for"), hostOfPeer(peer)].filter((address) => address);
  if (addresses.length > 0) pairs.push(["x-forwarded-for", addresses.join(", ")]);
  return { metadata: metadataFromPairs(pairs), timeoutMs };
}

function timeoutOf(header: string | null): number {
  if (header === null || header === "") return Infinity;
  const match = /^([+-]?[0-9]+)([HMSmun])$/.exec(header);
  if (match === null || BigInt.asIntN(64, BigInt(match[1])) !== BigInt(match[1])) {
    throw new RpcError(Code.INVALID_ARGUMENT, `invalid grpc-timeout: ${header}`);
  }
  const timeoutMs = Number(match[1]) * UNIT_MS[match[2]];
  return timeoutMs === 0 ? Infinity : timeoutMs;
}

function checkBinary(name: string, value: string): void {
  const isPadded = value.length % 4 === 0;
  const content = isPadded ? value.replace(/={1,2}$/, "") : value;
  const bad = content.search(/[^A-Za-z0-9+/]/);
  if (bad < 0 && content.length % 4 !== 1) return;
  const canonical = name.replace(/(^|-)([a-z])/g, (part) => part.toUpperCase());
  const offset = bad < 0 ? content.length - 1 : bad;
  throw new RpcError(
    Code.INVALID_ARGUMENT,
    `invalid binary header ${canonical}: illegal base64 data at input byte ${offset}`,
  );
}

function hostOfPeer(peer: string): string | undefined {
  const colon = peer.lastIndexOf(":");
  return colon < 0 ? undefined : peer.slice(0, colon).replace(/^\[|\]$/g, "");
}
