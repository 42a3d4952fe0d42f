/** Our server and client on real sockets, each against node's. */

import { afterEach, describe, expect, test } from "bun:test";
import { Agent, createServer, type IncomingMessage, request as nodeRequest } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HttpExchange, ListenAddress } from "../../../src/io/net.ts";
import { bunNetwork, nodeNetwork, systemClock } from "../../../src/io/system/mod.ts";
import { HttpClient, type HttpRequest, HttpServer, parsePeerUrl, type PeerUrl } from "../../../src/peer/http/mod.ts";

const PATIENCE = { connectMs: 1000, answerMs: 2000, idleMs: 2000, stallMs: 2000 };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

function get(path: string): HttpRequest {
  return { method: "GET", path, headers: [], patience: PATIENCE };
}

function post(path: string, body: Uint8Array): HttpRequest {
  return { method: "POST", path, headers: [["X-Test", "1"]], body, patience: PATIENCE };
}

/** Answers with what was asked. */
function echo(exchange: HttpExchange): void {
  exchange.respond(200, [["x-path", exchange.path], ["x-method", exchange.method]]);
  exchange.onData((chunk) => void exchange.write(chunk));
  exchange.onEnd(() => exchange.end());
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Bounded waiting; the failure names what was waited for. */
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`still not: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

describe.each([["Bun's sockets", bunNetwork], ["node:net", nodeNetwork]])("on %s", (_name, network) => {
  async function serve(
    handler: (exchange: HttpExchange) => void,
    at: ListenAddress = { host: "127.0.0.1", port: 0 },
  ): Promise<PeerUrl> {
    const server = new HttpServer({ clock: systemClock, handler });
    const listening = await network.listen(at, {
      onStream: (stream) => server.serve(stream),
      onStreamClosed() {},
    });
    cleanups.push(() => {
      listening.close();
      return server.stop(100);
    });
    return parsePeerUrl(`${"path" in at ? "unix" : "http"}://${listening.address}`)!;
  }

  function client(): HttpClient {
    const client = new HttpClient({ network, clock: systemClock });
    cleanups.push(() => client.close());
    return client;
  }

  test("our client and our server understand one another", async () => {
    const url = await serve(echo);
    const ours = client();
    const large = new Uint8Array(5_000_000).map((_, i) => i);
    for (const body of [new TextEncoder().encode("hello"), large]) {
      const answer = await ours.collect(url, post("/x?y=1", body), 10_000_000);
      expect(answer.status).toBe(200);
      expect(answer.headers).toContainEqual(["x-path", "/x?y=1"]);
      expect(Buffer.compare(answer.body, body)).toBe(0);
    }
    expect((await ours.collect(url, get("/z"), 10)).headers).toContainEqual(["x-method", "GET"]);
  });

  test("node's client uses one connection of our server for many requests", async () => {
    const peers = new Set<string>();
    const url = await serve((exchange) => {
      peers.add(exchange.remoteAddress);
      echo(exchange);
    });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    cleanups.push(() => agent.destroy());
    for (let i = 0; i < 20; i++) {
      const sent = "x".repeat(i * 5000);
      const answer = await new Promise<string>((resolve, reject) => {
        const request = nodeRequest(
          `${url.text}/n${i}`,
          { agent, method: "POST" },
          async (incoming: IncomingMessage) => {
            let received = "";
            for await (const chunk of incoming) received += chunk;
            resolve(received);
          },
        );
        request.on("error", reject);
        if (i % 2 === 0) request.setHeader("content-length", sent.length);
        request.end(sent);
      });
      expect(answer).toBe(sent);
    }
    expect(peers.size).toBe(1);
  });

  test("our client uses one connection of node's server for many requests", async () => {
    let connectionCount = 0;
    const server = createServer(async (incoming, outgoing) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (incoming.url === "/fixed") outgoing.setHeader("content-length", body.length);
      else outgoing.write(body.subarray(0, 3));
      outgoing.end(incoming.url === "/fixed" ? body : body.subarray(3));
    });
    server.on("connection", () => connectionCount++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => server.close());
    const url = parsePeerUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)!;
    const ours = client();
    for (let i = 0; i < 20; i++) {
      const sent = "x".repeat(5 + i * 5000);
      const answer = await ours.collect(
        url,
        post(i % 2 ? "/fixed" : "/chunked", new TextEncoder().encode(sent)),
        1_000_000,
      );
      expect(text(answer.body)).toBe(sent);
    }
    expect(connectionCount).toBe(1);
  });

  test("an answer that goes on for ever arrives as it is written, and ends for both when the client has had enough", async () => {
    let abortCount = 0;
    const url = await serve((exchange) => {
      exchange.onAbort(() => abortCount++);
      exchange.respond(200, []);
      let turn = 0;
      const writeOn = () => {
        if (exchange.isClosed) return;
        for (let i = 0; i < 10; i++) exchange.write(new TextEncoder().encode(`${turn++},`));
        systemClock.after(1, writeOn);
      };
      writeOn();
    });
    let received = "";
    await new Promise<void>((resolve, reject) => {
      const call = client().request(url, get("/stream"), {
        onHead() {},
        onData(chunk) {
          received += text(chunk);
          if (received.length < 10_000) return;
          call.abort();
          resolve();
        },
        onEnd: () => reject(new Error("it ended")),
        onFail: reject,
      });
    });
    const numbers = received.split(",").slice(0, -1);
    expect(numbers.every((number, i) => Number(number) === i)).toBe(true);
    await until(() => abortCount === 1);
  });

  test("a large upload that is refused at once tells the client so", async () => {
    const url = await serve((exchange) => {
      exchange.respond(412, [["content-length", "0"]]);
      exchange.end();
    });
    const ours = client();
    const body = { size: 1 << 30, read: (target: Uint8Array) => Promise.resolve(target.length) };
    for (let i = 0; i < 5; i++) {
      expect((await ours.collect(url, { ...post("/", new Uint8Array(0)), body }, 10)).status).toBe(412);
    }
  });

  test("a Unix socket will do", async () => {
    const directory = mkdtempSync(join(tmpdir(), "keelson-"));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "x.sock");
    const url = await serve(echo, { path });
    const answer = await client().collect(url, post("/", new TextEncoder().encode("x")), 10);
    expect(text(answer.body)).toBe("x");
  });

  test("where nobody listens the call fails with the system's code", async () => {
    const url = await serve(echo);
    await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
    const failure = await client().collect(url, get("/"), 10).then(() => undefined, (error) => error);
    expect(failure).toMatchObject({ code: "ECONNREFUSED", isUnsent: true });
  });
});
