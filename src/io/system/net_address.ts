import { lookup } from "node:dns/promises";

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
