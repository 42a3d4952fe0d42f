/** The engine on real sockets of both kinds against an independent implementation: the runtime's own HTTP/2 client. */
import { afterEach, describe, expect, test } from "bun:test";
import * as http2 from "node:http2";
import type { HttpExchange } from "../../../src/io/net.ts";
import { bunNetwork, nodeNetwork, systemClock } from "../../../src/io/system/mod.ts";
import { exchangeApplication, Http2Server } from "../../../src/rpc/http2/mod.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

interface Answer {
  status: number;
  size: number;
  trailers: http2.IncomingHttpHeaders;
}

function ask(session: http2.ClientHttp2Session, path: string, body?: Uint8Array): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = session.request({ ":path": path, ":method": body === undefined ? "GET" : "POST" });
    const answer: Answer = { status: 0, size: 0, trailers: {} };
    request.on("response", (headers) => answer.status = Number(headers[":status"]));
    request.on("trailers", (trailers) => answer.trailers = trailers);
    request.on("data", (chunk: Uint8Array) => answer.size += chunk.length);
    request.on("end", () => resolve(answer));
    request.on("error", reject);
    request.end(body);
  });
}

describe.each([["Bun.listen", bunNetwork], ["node:net", nodeNetwork]])("on %s", (_name, network) => {
  async function listen(onRequest: (exchange: HttpExchange) => void) {
    const server = new Http2Server({ application: exchangeApplication(onRequest), clock: systemClock });
    const listener = await network.listen({ host: "127.0.0.1", port: 0 }, {
      onStream: (stream) => server.serve(stream),
      onStreamClosed: () => {},
    });
    const session = http2.connect(`http://${listener.address}`);
    session.on("error", () => {});
    cleanups.push(() => {
      session.destroy();
      server.destroy();
      listener.close();
    });
    return { server, session };
  }

  test("requests and answers of every size go through", async () => {
    const { server, session } = await listen((exchange) => {
      let size = 0;
      exchange.onData((chunk) => size += chunk.length);
      exchange.onEnd(() => {
        exchange.respond(200, []);
        exchange.write(new Uint8Array(size));
        exchange.end([["size", String(size)]]);
      });
    });
    const sizes = [0, 1, 100, 16_384, 70_000, 3_000_000];
    const answers = await Promise.all(sizes.map((size) => ask(session, "/", new Uint8Array(size))));
    answers.forEach((answer, i) => {
      expect(answer).toMatchObject({ status: 200, size: sizes[i], trailers: { size: String(sizes[i]) } });
    });
    expect(server.budget.used).toBe(0);
  });

  test("bytes arrive as they were sent, also through a socket that is full most of the time", async () => {
    const { session } = await listen((exchange) => {
      exchange.respond(200, []);
      let next = 0;
      const produce = () => {
        while (next < 4_000_000) {
          const words = new Uint32Array(5000);
          for (let i = 0; i < words.length; i++) words[i] = next++;
          if (!exchange.write(new Uint8Array(words.buffer))) return;
        }
        exchange.end();
      };
      exchange.onDrain(produce);
      produce();
    });
    // Two of them, so that the server's output buffers wander between uses.
    const sums = await Promise.all([1, 2].map(() =>
      new Promise<number>((resolve, reject) => {
        const request = session.request({ ":path": "/" });
        let position = 0;
        let wrong = 0;
        request.on("data", (chunk: Uint8Array) => {
          for (const byte of chunk) {
            if (byte !== ((position >> 2) >>> (position & 3) * 8 & 0xff)) wrong++;
            position++;
          }
          request.pause();
          setTimeout(() => request.resume(), 0);
        });
        request.on("end", () => resolve(wrong === 0 ? position : -wrong));
        request.on("error", reject);
      })
    ));
    expect(sums).toEqual([16_000_000, 16_000_000]);
  }, 20_000);

  test("a client that stops reading holds neither memory nor others", async () => {
    let produced = 0;
    const { server, session } = await listen((exchange) => {
      exchange.respond(200, []);
      if (exchange.path === "/small") return exchange.end();
      const chunk = new Uint8Array(65_536);
      const produce = () => {
        do produced += chunk.length; while (produced < 200_000_000 && exchange.write(chunk));
      };
      exchange.onDrain(produce);
      produce();
    });
    const stalled = session.request({ ":path": "/endless" });
    stalled.on("error", () => {});
    stalled.pause();
    for (let i = 0; i < 20; i++) expect((await ask(session, "/small")).status).toBe(200);
    expect(produced).toBeLessThan(200_000_000);
    expect(server.budget.used).toBeLessThan(1_000_000);
  });

  test("a drain lets the answer in progress finish", async () => {
    let finish = () => {};
    const { server, session } = await listen((exchange) => {
      exchange.respond(200, []);
      finish = () => exchange.end([["late", "yes"]]);
    });
    const answer = ask(session, "/");
    await new Promise<void>((resolve) => setTimeout(resolve, 50));
    const drained = server.drain(5000);
    await new Promise<void>((resolve) => session.once("goaway", () => resolve()));
    finish();
    expect((await answer).trailers).toMatchObject({ late: "yes" });
    await drained;
    expect(server.connectionCount).toBe(0);
  });
});
