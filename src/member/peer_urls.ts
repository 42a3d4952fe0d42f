/** Whether two lists of peer URLs name the same addresses: a name and what it stands for are the same, as in etcd. */
import type { Clock } from "../io/clock.ts";
import type { Logger } from "../io/log.ts";
import type { Network } from "../io/net.ts";

export interface PeerUrlParts {
  readonly clock: Clock;
  readonly log: Logger;
  readonly network: Pick<Network, "resolve">;
}

/** Names that cannot be resolved yet are tried again for so long by default, and so often (etcd's figures). */
const RESOLVE_MS_MAX = 30_000;
const RESOLVE_RETRY_MS = 1000;

/** A URL that has a host and a port; others (Unix sockets) stand for themselves. */
const URL_PATTERN = /^(https?):\/\/(\[[^\]/]*\]|[^:/]*):(\d+)$/;

/** Compares lists of peer URLs. All of the comparisons that one object makes share the time there is for names. */
export class PeerUrlComparison {
  readonly #parts: PeerUrlParts;
  readonly #endMs: number;

  /** `forMs`: how long names are tried again that cannot be resolved. */
  constructor(parts: PeerUrlParts, forMs = RESOLVE_MS_MAX) {
    this.#parts = parts;
    this.#endMs = parts.clock.monotonicMs() + forMs;
  }

  /** Why they are not the same, in etcd's words; undefined: they are. */
  async difference(a: readonly string[], b: readonly string[]): Promise<string | undefined> {
    if (a.length !== b.length) return `len(${list(a)}) != len(${list(b)})`;
    // What is written alike is not looked up: names of a cluster to come need not be known yet.
    if (firstDifference(sorted(a.map(canonical)), sorted(b.map(canonical))) === undefined) return undefined;
    try {
      const resolvedA = await this.#resolveAll(a);
      return firstDifference(resolvedA, await this.#resolveAll(b));
    } catch (error) {
      return (error as Error).message;
    }
  }

  async #resolveAll(urls: readonly string[]): Promise<string[]> {
    const resolved: string[] = [];
    for (const url of urls) resolved.push(canonical(await this.#resolve(url)));
    return sorted(resolved);
  }

  async #resolve(url: string): Promise<string> {
    const match = URL_PATTERN.exec(url);
    if (match === null || match[2] === "localhost") return url;
    const [, scheme, bracketed, port] = match;
    const host = bracketed.replace(/^\[|\]$/g, "");
    const { network, log } = this.#parts;
    for (;;) {
      try {
        const [address] = await network.resolve(host);
        const resolved = `${address.includes(":") ? `[${address}]` : address}:${port}`;
        if (address !== host) {
          log.info("resolved URL Host", { url, "host": `${bracketed}:${port}`, "resolved-addr": resolved });
        }
        return `${scheme}://${resolved}`;
      } catch (error) {
        await this.#waitAfter(url, `${bracketed}:${port}`, error as Error);
      }
    }
  }

  /** Throws if there is no time for another try. */
  async #waitAfter(url: string, host: string, error: Error): Promise<void> {
    const { clock, log } = this.#parts;
    const fields = { url, host, "retry-interval": `${RESOLVE_RETRY_MS / 1000}s`, error };
    log.warn("failed to resolve URL Host", fields);
    if (clock.monotonicMs() + RESOLVE_RETRY_MS >= this.#endMs) {
      log.warn("failed to resolve URL Host; returning", fields);
      throw new Error(`failed to resolve ${JSON.stringify(url)} (${error.message})`);
    }
    await new Promise<void>((resolve) => clock.after(RESOLVE_RETRY_MS, resolve));
  }
}

function firstDifference(a: readonly string[], b: readonly string[]): string | undefined {
  const index = a.findIndex((url, i) => url !== b[i]);
  return index < 0 ? undefined : `resolved urls: ${JSON.stringify(a[index])} != ${JSON.stringify(b[index])}`;
}

/** Addresses of IPv6 can be written in several ways. */
function canonical(url: string): string {
  const match = /^(https?:\/\/)(\[[0-9a-fA-F:.]+\])(:\d+)$/.exec(url);
  if (match === null || !URL.canParse(url)) return url;
  return `${match[1]}${new URL(url).hostname}${match[3]}`;
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort();
}

/** As Go's %q shows a list. */
function list(texts: readonly string[]): string {
  return `[${texts.map((text) => JSON.stringify(text)).join(" ")}]`;
}
