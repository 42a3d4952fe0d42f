/** URLs of listeners and members, read and written as etcd does: they are compared as text and hashed into ids. */

/** One URL of a `--listen-...` or `--...advertise-...` flag. */
export interface MemberUrl {
  readonly scheme: "http" | "https" | "unix" | "unixs";
  /** The text as etcd writes it back: scheme and path as given, no spaces around. */
  readonly text: string;
  /** "127.0.0.1", "::1", "localhost"; empty for a Unix socket and for ":2379". */
  readonly host: string;
  /** As written: Go allows a name or nothing at all here. Empty for a Unix socket. */
  readonly port: string;
  /** Path of a Unix socket ("unix://a/b" and "unix:///a/b" name "a/b" and "/a/b"); empty otherwise. */
  readonly path: string;
}

/** Reads URLs under etcd's rules. Throws an Error with etcd's text. Sorted by text. */
export function parseUrls(texts: readonly string[]): MemberUrl[] {
  const urls = texts.map((text) => parseUrl(text.trim()));
  return urls.sort((a, b) => a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
}

function parseUrl(text: string): MemberUrl {
  // deno-lint-ignore no-control-regex -- Go refuses control characters before anything else.
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new Error(`parse ${JSON.stringify(text)}: net/url: invalid control character in URL`);
  }
  const parts = /^([a-zA-Z][a-zA-Z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(.*)$/.exec(text);
  if (parts === null) {
    // "127.0.0.1:2379": what stands before the colon is no scheme, and Go says so before etcd looks at it.
    if (/^[^/?#]*:/.test(text)) {
      const problem = text.startsWith(":")
        ? "missing protocol scheme"
        : "first path segment in URL cannot contain colon";
      throw new Error(`parse ${JSON.stringify(text)}: ${problem}`);
    }
    throw new Error(`URL scheme must be http, https, unix, or unixs: ${text}`);
  }
  const scheme = parts[1].toLowerCase();
  const authority = parts[2] ?? "";
  const path = parts[3];
  const canonical = scheme + text.slice(parts[1].length);
  switch (scheme) {
    case "http":
    case "https": {
      const problem = hostProblem(authority);
      if (problem !== undefined) throw new Error(`parse ${JSON.stringify(text)}: ${problem}`);
      const address = splitHostPort(authority);
      if (address === undefined) throw new Error(`URL address does not have the form "host:port": ${text}`);
      if (!/^\d*$/.test(address.port)) {
        throw new Error(`parse ${JSON.stringify(text)}: invalid port ${JSON.stringify(`:${address.port}`)} after host`);
      }
      if (path !== "") throw new Error(`URL must not contain a path: ${text}`);
      return { scheme, text: canonical, host: address.host, port: address.port, path: "" };
    }
    case "unix":
    case "unixs":
      return { scheme, text: canonical, host: "", port: "", path: authority + path };
    default:
      throw new Error(`URL scheme must be http, https, unix, or unixs: ${text}`);
  }
}

/** What Go finds wrong with the characters of a host: it takes escapes of bytes that are not ASCII, and of a zone's "%". */
function hostProblem(authority: string): string | undefined {
  const escape = /%(?![89a-fA-F][0-9a-fA-F]|25).{0,2}/.exec(authority);
  if (escape !== null) return `invalid URL escape ${JSON.stringify(escape[0])}`;
  const character = /[ \\^`{|}]/.exec(authority);
  return character === null ? undefined : `invalid character ${JSON.stringify(character[0])} in host name`;
}

/** Go's net.SplitHostPort: "host:port", "[v6]:port", ":port". Undefined if it has not that form. */
function splitHostPort(address: string): { host: string; port: string } | undefined {
  const bracketed = /^\[([^\][]*)\]:([^:\][]*)$/.exec(address);
  if (bracketed !== null) return { host: bracketed[1], port: bracketed[2] };
  const plain = /^([^:\][]*):([^:\][]*)$/.exec(address);
  return plain === null ? undefined : { host: plain[1], port: plain[2] };
}

/** True for an IPv4 or IPv6 address as Go's net.ParseIP takes it (no zone, no leading zeros). */
export function isIpAddress(host: string): boolean {
  return isIpv4(host) || isIpv6(host);
}

function isIpv4(host: string): boolean {
  const parts = host.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255);
}

function isIpv6(host: string): boolean {
  if (!/^[0-9a-fA-F:.]+$/.test(host) || !host.includes(":")) return false;
  try {
    new URL(`http://[${host}]/`);
    return true;
  } catch {
    return false;
  }
}
