/** Who may call from where: etcd's `--cors` and `--host-whitelist`, and the headers of Connect and gRPC-Web for browsers. */

import { cors } from "@connectrpc/connect";
import { goQuoted } from "./gateway/mod.ts";
import { utf8 } from "../base/bytes.ts";

/** On every HTTP response of etcd. */
const ETCD_METHODS = "POST, GET, OPTIONS, PUT, DELETE";
const ETCD_HEADERS = "accept, content-type, authorization";

/** What pages may send to, and read from, Connect and gRPC-Web beside what etcd allows everywhere. */
const RPC_HEADERS = [
  ...ETCD_HEADERS.split(", "),
  ...cors.allowedHeaders.map((name) => name.toLowerCase()),
  "token",
  "hasleader",
  "client-api-version",
].filter((name, index, names) => names.indexOf(name) === index).join(", ");
const RPC_EXPOSED_HEADERS = cors.exposedHeaders.map((name) => name.toLowerCase()).join(", ");

/** Seconds for which a page need not ask again. Browsers cap it at 2 h or less. */
const PREFLIGHT_SECONDS = "7200";

export interface AccessOptions {
  /** Allowed origins; empty or with "*": all. */
  readonly cors: readonly string[];
  /** Host names that requests in cleartext may name; empty or with "*": all. */
  readonly hostWhitelist: readonly string[];
}

export class AccessControl {
  readonly #origins: ReadonlySet<string> | undefined;
  readonly #hosts: ReadonlySet<string> | undefined;

  constructor(options: AccessOptions) {
    this.#origins = setUnlessAll(options.cors);
    this.#hosts = setUnlessAll(options.hostWhitelist);
  }

  /** A page that a browser was tricked into sending here by DNS names a foreign host (CVE-2018-5702). */
  allowsHost(hostHeader: string): boolean {
    return this.#hosts === undefined || this.#hosts.has(hostNameOf(hostHeader));
  }

  /** Adds the CORS headers for `origin`, if it is allowed; `isRpc` for the paths of Connect and gRPC-Web. */
  addHeaders(headers: Headers, origin: string | null, isRpc: boolean): void {
    if (this.#origins !== undefined && (origin === null || !this.#origins.has(origin))) return;
    headers.set("access-control-allow-methods", ETCD_METHODS);
    headers.set("access-control-allow-origin", this.#origins === undefined ? "*" : origin!);
    headers.set("access-control-allow-headers", isRpc ? RPC_HEADERS : ETCD_HEADERS);
    if (!isRpc) return;
    headers.set("access-control-expose-headers", RPC_EXPOSED_HEADERS);
    headers.set("access-control-max-age", PREFLIGHT_SECONDS);
    if (this.#origins !== undefined) headers.append("vary", "origin");
  }
}

/** The text with which etcd refuses a host. */
export function misdirectedText(hostHeader: string): string {
  const host = goQuoted(utf8(hostNameOf(hostHeader)));
  return `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${host}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`;
}

function setUnlessAll(values: readonly string[]): ReadonlySet<string> | undefined {
  return values.length === 0 || values.includes("*") ? undefined : new Set(values);
}

/** Without the port; as it is where it has none. */
function hostNameOf(hostHeader: string): string {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):[^:]*$/.exec(hostHeader);
  return match === null ? hostHeader : match[1] ?? match[2];
}
