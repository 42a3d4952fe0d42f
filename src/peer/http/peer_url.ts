/** Where a peer is found, as URLs of etcd's flags and member lists say it. */

import type { ListenAddress } from "../../io/net.ts";

export interface PeerUrl {
  /** "http" also for Unix sockets. "https": calls to it fail, until there is TLS ("EPROTONOSUPPORT"). */
  readonly scheme: "http" | "https";
  readonly address: ListenAddress;
  /** For the Host field: "10.0.0.1:2380", "[::1]:2380", "localhost" for a Unix socket. */
  readonly host: string;
  /** As it was written, for messages. */
  readonly text: string;
}

const DEFAULT_PORTS = { http: 80, https: 443 };

/** Reads "http://host:port", "https://host:port", "unix://path", "unixs://path"; undefined for anything else. */
export function parsePeerUrl(text: string): PeerUrl | undefined {
  const unix = /^unix(s?):\/\/([^?#]+)$/.exec(text);
  if (unix !== null) {
    return { scheme: unix[1] === "" ? "http" : "https", address: { path: unix[2] }, host: "localhost", text };
  }
  const match = /^(https?):\/\/(?:\[([0-9A-Fa-f:.]+(?:%25[^\]/?#@\s]+)?)\]|([^:/?#@[\]\s]+))(?::([0-9]{1,5}))?\/?$/
    .exec(text);
  if (match === null) return undefined;
  const [, scheme, ipv6, name, portText] = match as unknown as ["", "http" | "https", string?, string?, string?];
  const port = portText === undefined ? DEFAULT_PORTS[scheme] : Number(portText);
  if (port > 65535) return undefined;
  const bare = ipv6 === undefined ? name! : `[${ipv6.split("%", 1)[0]}]`;
  return {
    scheme,
    address: { host: ipv6?.replace("%25", "%") ?? name!, port },
    host: portText === undefined ? bare : `${bare}:${port}`,
    text,
  };
}
