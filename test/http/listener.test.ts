import { expect, test } from "bun:test";
import { existsSync, mkdtempSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClientServer, ListenError } from "../../src/http/mod.ts";
import { type Http1Patience, Http1Server } from "../../src/http/http1.ts";
import type { Method } from "../../src/io/rpc.ts";
import { systemNetwork } from "../../src/io/system/mod.ts";
import { ask, RawConnection, startDoors, tcpUrl } from "./support.ts";

/** HTTP/1.1 alone, on a port of its own. */
async function startHttp1(
  answer: (request: Request) => Response,
  patience: Http1Patience,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const http1 = new Http1Server({ fetch: (request) => Promise.resolve(answer(request)) }, patience);
  const sockets = await systemNetwork.listen({ host: "127.0.0.1", port: 0 }, {
    onStream: (stream) => http1.serve(stream, new Uint8Array(0)),
    onStreamClosed: () => {},
  });
  const stop = async () => {
    sockets.close();
    await http1.stop(0);
  };
  return { port: Number(sockets.address.split(":")[1]), stop };
}

const GET = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";

test("one connection serves many requests, also sent at once, with bodies of either form", async () => {
  const server = await startDoors([]);
  const connection = new RawConnection(server.port);
  connection.send(GET + GET);
  await connection.until((text) => text.split("etcdserver").length === 3);
  connection.send(`POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n${GET}`);
  const text = await connection.until((received) => received.split("etcdserver").length === 4);
  expect(text.match(/HTTP\/1\.1 (\d+)/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200", "HTTP/1.1 405", "HTTP/1.1 200"]);
  expect(connection.isClosed).toBe(false);
  await server.stop();
});

test("connections beyond the bound are closed as they come, until others have gone", async () => {
  let refused = 0;
  const opened = await ClientServer.open({
    network: systemNetwork,
    urls: [tcpUrl(0)],
    httpUrls: [],
    connectionsMax: 2,
    onConnectionRefused: () => refused++,
  });
  const server = await startDoors([], {}, [], [], opened);
  const answers = async () => {
    const connection = new RawConnection(server.port);
    connection.send(GET);
    const text = await connection.until((received) => received.includes("etcdserver"));
    return { connection, isAnswered: text.includes("etcdserver") };
  };
  const first = await answers();
  const second = await answers();
  expect([first.isAnswered, second.isAnswered]).toEqual([true, true]);
  expect((await answers()).isAnswered).toBe(false);
  expect(refused).toBe(1);
  first.connection.socket.destroy();
  let isAnswered = false;
  while (!isAnswered) isAnswered = (await answers()).isAnswered;
  await server.stop();
});

test("the first bytes may come one by one", async () => {
  const server = await startDoors([]);
  const connection = new RawConnection(server.port);
  connection.socket.setNoDelay(true);
  for (const byte of "PUT /health HTTP/1.1\r\nHost: x\r\n\r\n") {
    connection.send(byte);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(await connection.until((text) => text.includes("\r\n\r\n"))).toStartWith("HTTP/1.1 405");
  await server.stop();
});

test("a client that has sent its last byte still gets its answer", async () => {
  const server = await startDoors([]);
  const connection = new RawConnection(server.port);
  connection.socket.end(GET);
  expect(await connection.closed()).toContain("etcdserver");
  await server.stop();
});

test("HTTP/2 without TLS meets the same application", async () => {
  const server = await startDoors([]);
  const client = connectHttp2(server.url);
  const answer = await new Promise<string>((resolve, reject) => {
    const stream = client.request({ ":path": "/version" });
    let body = "";
    stream.on("data", (bytes: Uint8Array) => body += new TextDecoder().decode(bytes));
    stream.on("end", () => resolve(body));
    stream.on("error", reject);
  });
  expect(answer).toContain("etcdserver");
  client.destroy();
  await server.stop();
});

test("an upgrade that is not spoken here is answered as the plain request it is", async () => {
  const server = await startDoors([]);
  const connection = new RawConnection(server.port);
  connection.send(
    "GET /version HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n",
  );
  expect(await connection.closed()).toMatch(/^HTTP\/1\.1 200 [^]*etcdserver/);
  await server.stop();
});

test("what is not HTTP, and a header block without end, are refused and closed", async () => {
  const server = await startDoors([]);
  const garbage = new RawConnection(server.port);
  garbage.send("\x16\x03\x01 hello\r\n\r\n");
  expect(await garbage.closed()).toStartWith("HTTP/1.1 400 Bad Request");
  const endless = new RawConnection(server.port);
  endless.send(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(200_000)}`);
  expect(await endless.closed()).toStartWith("HTTP/1.1 431 Request Header Fields Too Large");
  expect((await ask(server.url, "/version")).status).toBe(200);
  await server.stop();
});

test("a connection that does not finish its header block, or stays idle, is closed in time", async () => {
  const { port, stop } = await startHttp1(() => new Response("yes"), { headerTimeoutMs: 100 });
  const slow = new RawConnection(port);
  slow.send("GET / HTTP/1.1\r\nHost: x\r\n");
  expect(await slow.closed()).toBe("");
  const idle = new RawConnection(port);
  idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  expect(await idle.closed()).toContain("yes");
  await stop();
});

test("a client that does not read is dropped in time, one that has nothing to read is not", async () => {
  let ended = 0;
  const { port, stop } = await startHttp1(({ url }) => {
    const isSilent = url.endsWith("/silent");
    return new Response(
      new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new Uint8Array(1)),
        pull: (controller) => isSilent ? new Promise(() => {}) : controller.enqueue(new Uint8Array(100_000)),
        cancel: () => void ended++,
      }),
    );
  }, { writeStallMs: 200 });
  const stalled = new RawConnection(port);
  const silent = new RawConnection(port);
  stalled.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  silent.send("GET /silent HTTP/1.1\r\nHost: x\r\n\r\n");
  await stalled.until((text) => text.length > 0);
  stalled.socket.pause();
  const untilMs = performance.now() + 5000;
  while (ended === 0 && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 20));
  expect([ended, silent.isClosed]).toEqual([1, false]);
  stalled.socket.destroy();
  silent.socket.destroy();
  await stop();
});

test("localhost is 127.0.0.1, and cleartext is not served where TLS was asked for", async () => {
  const doors = await startDoors([], {}, [tcpUrl(0, "localhost")]);
  expect(doors.server.addresses[0].address).toStartWith("127.0.0.1:");
  await doors.stop();
  const secure = { ...tcpUrl(0), scheme: "https" as const };
  await expect(ClientServer.open({ network: systemNetwork, urls: [secure], httpUrls: [] })).rejects.toThrow("TLS");
});

test("a socket that cannot be opened is one line with its reason, and leaves nothing open", async () => {
  const server = await startDoors([]);
  const open = ClientServer.open({ network: systemNetwork, urls: [tcpUrl(0), tcpUrl(server.port)], httpUrls: [] });
  const error = await open.then(() => undefined, (reason: unknown) => reason as ListenError);
  expect(error).toBeInstanceOf(ListenError);
  expect(error!.message).toStartWith(`cannot listen on http://127.0.0.1:${server.port}: address already in use`);
  expect(error!.message).not.toContain("\n");
  await expect(ClientServer.open({ network: systemNetwork, urls: [tcpUrl(0, "203.0.113.7")], httpUrls: [] })).rejects
    .toThrow(
      "this machine has no such address",
    );
  const missing = { ...tcpUrl(0), scheme: "unix" as const, text: "unix:///nowhere/x", path: "/nowhere/x" };
  await expect(ClientServer.open({ network: systemNetwork, urls: [missing], httpUrls: [] })).rejects.toThrow(
    "cannot listen on unix:///nowhere/x",
  );
  await server.stop();
});

test("a Unix socket serves the same, over one that was left behind, and its peer has no address", async () => {
  const path = join(mkdtempSync(join(tmpdir(), "keelson-")), "client.sock");
  let peer = "";
  const methods: Method[] = [{
    kind: "unary",
    path: "/etcdserverpb.KV/Put",
    handle: (call) => {
      peer = call.peer;
      call.reply(new Uint8Array(0));
    },
  }];
  const url = { scheme: "unix" as const, text: `unix://${path}`, host: "", port: "", path };
  for (let round = 0; round < 2; round++) {
    const doors = await startDoors(methods, {}, [url]);
    const status = await new Promise<number>((resolve, reject) => {
      const call = httpRequest({ socketPath: path, path: "/v3/kv/put", method: "POST", agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode!);
      });
      call.on("error", reject);
      call.end("{}");
    });
    expect([status, peer, existsSync(path)]).toEqual([200, "@", true]);
    await doors.stop();
  }
});

test("with HTTP addresses of their own, the others serve gRPC alone", async () => {
  const doors = await startDoors([], {}, [tcpUrl(0)], [tcpUrl(0)]);
  const [grpc, http] = doors.server.addresses;
  expect([grpc.traffic, http.traffic]).toEqual(["grpc", "http"]);
  expect((await ask(`http://${http.address}`, "/version")).status).toBe(200);
  const refused = new RawConnection(Number(grpc.address.split(":")[1]));
  refused.send(GET);
  expect(await refused.closed()).toBe("");
  const preface = new RawConnection(Number(http.address.split(":")[1]));
  preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  expect(await preface.closed()).toBe("");
  const settings = new RawConnection(Number(grpc.address.split(":")[1]));
  settings.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
  expect((await settings.until((text) => text.length >= 9)).charCodeAt(3)).toBe(4);
  await doors.stop();
});

test("nobody is served before the start, and then those who waited are", async () => {
  const server = await ClientServer.open({ network: systemNetwork, urls: [tcpUrl(0)], httpUrls: [] });
  const early = new RawConnection(Number(server.addresses[0].address.split(":")[1]));
  early.send(GET);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(early.text).toBe("");
  await startDoors([], {}, undefined, undefined, server);
  expect(await early.until((text) => text.includes("etcdserver"))).toStartWith("HTTP/1.1 200");
  await server.stop(0);
});

test("a stop lets what was asked be answered, and closes idle connections", async () => {
  let answer: (() => void) | undefined;
  const methods: Method[] = [{
    kind: "unary",
    path: "/etcdserverpb.KV/Put",
    handle: (call) => {
      answer = () => call.reply(new Uint8Array(0));
    },
  }];
  const doors = await startDoors(methods);
  const idle = new RawConnection(doors.port);
  idle.send(GET);
  await idle.until((text) => text.includes("etcdserver"));
  const asked = ask(doors.url, "/v3/kv/put", { method: "POST", body: "{}" });
  while (answer === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  const stopped = doors.server.stop(5000);
  await idle.closed();
  answer();
  expect((await asked).status).toBe(200);
  await stopped;
});
