/** An exchange of the HTTP/2 engine as a fetch request and response. */

import { utf8 } from "../base/bytes.ts";
import type { HttpExchange, HttpField } from "../io/net.ts";
import type { HttpApp } from "./app.ts";

/** Answers one exchange. Never rejects. */
export async function serveExchange(app: HttpApp, exchange: HttpExchange): Promise<void> {
  const gone = new AbortController();
  exchange.onAbort(() => gone.abort());
  const request = requestOf(exchange, gone.signal);
  if (request === undefined) {
    exchange.respond(400, [["content-type", "text/plain; charset=utf-8"]]);
    exchange.write(utf8("400 Bad Request"));
    exchange.end();
    return;
  }
  try {
    const response = await app.fetch(request, {
      peer: exchange.remoteAddress,
      httpVersion: "2",
      rawPath: exchange.path,
      host: exchange.authority,
      isSecure: exchange.scheme === "https",
    });
    await respond(exchange, response, gone.signal);
  } catch {
    // The application answers its own failures; what is left is a body that broke off.
    exchange.abort();
  }
}

function requestOf(exchange: HttpExchange, signal: AbortSignal): Request | undefined {
  const headers = new Headers();
  try {
    for (const [name, value] of exchange.headers) {
      if (!name.startsWith(":")) headers.append(name, value);
    }
    if (exchange.authority !== "") headers.set("host", exchange.authority);
    const hasBody = exchange.method !== "GET" && exchange.method !== "HEAD";
    const body = hasBody ? bodyOf(exchange, signal) : undefined;
    if (!hasBody) ignoreBody(exchange);
    const url = `${exchange.scheme}://${exchange.authority || "localhost"}${exchange.path}`;
    return new Request(url, { method: exchange.method, headers, body, signal, duplex: "half" } as RequestInit);
  } catch {
    // A name, a value or a URL that fetch does not take.
    return undefined;
  }
}

function ignoreBody(exchange: HttpExchange): void {
  exchange.onData(() => {});
  exchange.onEnd(() => {});
}

function bodyOf(exchange: HttpExchange, gone: AbortSignal): ReadableStream<Uint8Array> {
  let isOver = false;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      exchange.onData((chunk) => {
        if (isOver) return;
        controller.enqueue(chunk.slice());
        if ((controller.desiredSize ?? 0) <= 0) exchange.pause();
      });
      exchange.onEnd(() => {
        if (isOver) return;
        isOver = true;
        controller.close();
      });
      gone.addEventListener("abort", () => {
        if (isOver) return;
        isOver = true;
        controller.error(new Error("the client went away"));
      }, { once: true });
    },
    pull: () => exchange.resume(),
    cancel() {
      isOver = true;
      exchange.resume();
    },
  });
}

async function respond(exchange: HttpExchange, response: Response, gone: AbortSignal): Promise<void> {
  const headers: HttpField[] = [["date", new Date().toUTCString()]];
  for (const [name, value] of response.headers) {
    // RFC 9113, section 8.2.2: fields of a connection have no place in HTTP/2.
    if (name === "connection" || name === "transfer-encoding" || name === "keep-alive") continue;
    headers.push([name, value]);
  }
  exchange.respond(response.status, headers);
  const reader = exchange.method === "HEAD" ? undefined : response.body?.getReader();
  if (reader === undefined) {
    await response.body?.cancel();
    exchange.end();
    return;
  }
  let wake: (() => void) | undefined;
  exchange.onDrain(() => wake?.());
  gone.addEventListener("abort", () => {
    wake?.();
    void reader.cancel().catch(() => {});
  }, { once: true });
  for (;;) {
    const { done, value } = await reader.read();
    if (gone.aborted) return;
    if (done) break;
    if (exchange.write(value)) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    wake = undefined;
  }
  exchange.end();
}
