/** Our server and client on real sockets, each against node's. */

import { afterEach, describe, expect, test } from "bun:test";
import { Agent, createServer, type IncomingMessage, request as nodeRequest } from "node:http";
import type { AddressInfo } from "node:net";
import type { HttpExchange } from "../../../src/io/net.ts";
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

describe.each([["Bun's sockets", bunNetwork], ["node:net", nodeNetwork]])("on %s", (_name, network) => {
  async function serve(handler: (exchange: HttpExchange) => void): Promise<PeerUrl> {
    const server = new HttpServer({ clock: systemClock, handler });
    const listening = await network.listen({ host: "127.0.0.1", port: 0 }, {
      onStream: (stream) => server.serve(stream),
      onStreamClosed() {},
    });
    cleanups.push(() => {
      listening.close();
      return server.stop(100);
    });
    return parsePeerUrl(`http://${listening.address}`)!;
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
});
