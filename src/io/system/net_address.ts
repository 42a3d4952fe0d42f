import { lookup } from "node:dns/promises";
import type { ByteStream, ListenAddress } from "../net.ts";
import { systemClock } from "./clock.ts";

/** As Go does: a name that has addresses of both kinds means the one of IPv4. Rejects with "ENOTFOUND" and the like. */
export async function resolveHost(host: string): Promise<string> {
  const { address } = await lookup(host, { order: "ipv4first" });
  return address;
}

/** As `ByteStream.remoteAddress`; "@" where there is no address, as of a Unix socket. */
export function formatAddress(address: string | undefined, port: number | undefined): string {
  if (address === undefined || address === "" || port === undefined) return "@";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** As `Network.resolve`. */
export async function resolveAll(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { order: "ipv4first", all: true });
  return [...new Set(found.map(({ address }) => address))];
}

/** A socket's other end, names resolved. */
export type Target = { readonly address: string; readonly port: number } | { readonly path: string };

/** Opens one stream. Rejects with the system's `code`, and drops what is there later, once `signal` is aborted. */
export type Dial = (to: Target, signal: AbortSignal) => Promise<ByteStream>;

/** `Network.connect` on top of it: the host's addresses one after the other, each with its share of the time that is left. */
export async function connectTo(to: ListenAddress, timeoutMs: number, dial: Dial): Promise<ByteStream> {
  const endMs = performance.now() + timeoutMs;
  if ("path" in to) return await within(timeoutMs, to.path, (signal) => dial(to, signal));
  const text = formatAddress(to.host, to.port);
  const addresses = await within(timeoutMs, text, () => resolveAll(to.host));
  let firstError: unknown;
  for (let i = 0; i < addresses.length; i++) {
    const shareMs = (endMs - performance.now()) / (addresses.length - i);
    const target = { address: addresses[i], port: to.port };
    try {
      return await within(shareMs, text, (signal) => dial(target, signal));
    } catch (error) {
      firstError ??= error;
    }
  }
  throw firstError ?? Object.assign(new Error(`${to.host} has no address`), { code: "ENOTFOUND" });
}

async function within<T>(ms: number, what: string, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = systemClock.after(ms, () => {
    late.abort();
    reject(Object.assign(new Error(`connecting to ${what} timed out`), { code: "ETIMEDOUT" }));
  });
  try {
    return await Promise.race([action(late.signal), promise]);
  } finally {
    timer.cancel();
  }
}
