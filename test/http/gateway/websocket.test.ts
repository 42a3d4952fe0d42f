import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ask, RawConnection, startServer, type TestServer } from "../support.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

function upgrade(path: string, headers = ""): string {
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n${headers}\r\n`;
}

/** A client's frame: masked, of at most 125 bytes unless `size` is told in another form. */
function frame(opcode: number, payload: string, { isFinal = true, isMasked = true, sizeBytes = "" } = {}): string {
  const mask = "\x01\x02\x03\x04";
  const masked = [...payload].map((character, i) =>
    String.fromCharCode(character.charCodeAt(0) ^ (isMasked ? mask.charCodeAt(i & 3) : 0))
  ).join("");
  const size = String.fromCharCode((isMasked ? 0x80 : 0) | (sizeBytes === "" ? payload.length : 126)) + sizeBytes;
  return String.fromCharCode((isFinal ? 0x80 : 0) | opcode) + size + (isMasked ? mask : "") + masked;
}

async function open(path: string, headers = ""): Promise<RawConnection> {
  const connection = new RawConnection(server.port);
  connection.send(upgrade(path, headers));
  await connection.until((text) => text.includes("\r\n\r\n"));
  return connection;
}

async function messages(path: string, sent: string[], count: number, protocols?: string[]): Promise<string[]> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}${path}`, protocols);
  const received: string[] = [];
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => sent.forEach((message) => socket.send(message));
    socket.onmessage = ({ data }) => {
      received.push(String(data));
      if (received.length === count) socket.close();
    };
    socket.onclose = () => resolve();
    socket.onerror = () => reject(new Error("the WebSocket failed"));
  });
  return received;
}

test("a watch lives on a WebSocket: one message per request, one per response", async () => {
  const received = await messages(
    "/v3/watch",
    ['{"create_request":{"key":"a2V5"}}', '{"create_request":{"key":"a2V5","watch_id":"9"}}'],
    2,
  );
  expect(received.map((message) => JSON.parse(message).result)).toMatchObject([
    { created: true },
    { created: true, watch_id: "9" },
  ]);
});

test("events come as they happen", async () => {
  const connection = await open("/v3/watch");
  connection.send(frame(1, '{"create_request":{"key":"ZXZlbnQ="}}'));
  await connection.until((text) => text.includes('"created":true'));
  await ask(server.url, "/v3/kv/put", { method: "POST", body: '{"key":"ZXZlbnQ=","value":"eA=="}' });
  expect(await connection.until((text) => text.includes('"events"'))).toContain('"key":"ZXZlbnQ="');
  connection.socket.destroy();
});

test("an error is a message too, and the end of the connection", async () => {
  expect(await messages("/v3/kv/range", ['{"key":1}'], 9)).toEqual([
    '{"code":3,"message":"proto: (line 1:8): invalid value for bytes field key: 1"}',
  ]);
  expect(await messages("/v3/nothing", [], 9)).toEqual(['{"code":5,"message":"Not Found"}']);
});

test("the handshake proves the key was read, and answers the protocol that carries a token", async () => {
  const plain = await open("/v3/watch");
  const accept = createHash("sha1").update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  expect(plain.text).toStartWith("HTTP/1.1 101 Switching Protocols\r\n");
  expect(plain.text).toContain(`Sec-WebSocket-Accept: ${accept}\r\n`);
  expect(plain.text).not.toContain("Sec-WebSocket-Protocol");
  const bearer = await open("/v3/watch", "Sec-WebSocket-Protocol: Bearer, token\r\n");
  expect(bearer.text).toContain("Sec-WebSocket-Protocol: Bearer\r\n");
  plain.socket.destroy();
  bearer.socket.destroy();
});

test("a handshake without a key or with another version is a bad request", async () => {
  const connection = new RawConnection(server.port);
  connection.send("GET /v3/watch HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect(await connection.closed()).toStartWith("HTTP/1.1 400 Bad Request");
});

test("fragments make one message, pings between them are answered, and a close is answered", async () => {
  const connection = await open("/v3/watch");
  connection.text = "";
  connection.send(frame(1, '{"create_request":', { isFinal: false }));
  connection.send(frame(9, "hello"));
  connection.send(frame(0, '{"key":"a2V5"}', { isFinal: false }));
  connection.send(frame(0, "}"));
  expect(await connection.until((text) => text.includes('"created":true'))).toStartWith("\x8a\x05hello");
  connection.send(frame(8, "\x03\xe8"));
  expect(await connection.closed()).toEndWith("\x88\x02\x03\xe8");
});

test("what breaks the protocol is told so and closed", async () => {
  const broken = [
    frame(1, "{}", { isMasked: false }),
    frame(0, "{}"),
    frame(3, "{}"),
    frame(9, "x".repeat(126), { sizeBytes: "\0\x7e" }),
    `\xf1\x80\x01\x02\x03\x04`,
  ];
  for (const bytes of broken) {
    const connection = await open("/v3/watch");
    connection.send(bytes);
    expect(await connection.closed()).toEndWith("\x88\x02\x03\xea");
  }
  const huge = await open("/v3/watch");
  huge.send("\x81\xff\0\0\0\0\x7f\xff\xff\xff\x01\x02\x03\x04");
  expect(await huge.closed()).toEndWith("\x88\x02\x03\xf1");
});

test("a client that vanishes leaves nothing behind", async () => {
  const connection = await open("/v3/watch");
  connection.send(frame(1, '{"create_request":{"key":"a2V5"}}'));
  await connection.until((text) => text.includes('"created":true'));
  connection.socket.destroy();
  expect((await ask(server.url, "/v3/kv/put", { method: "POST", body: '{"key":"a2V5"}' })).status).toBe(200);
});
