/** Input that nobody thought of. Cases come from seeds, so that a failure names one that can be run again. */

import { expect, test } from "bun:test";
import { latin1 } from "../../../src/base/bytes.ts";
import type { HttpExchange } from "../../../src/io/net.ts";
import type { HttpRequest } from "../../../src/peer/http/mod.ts";
import { Random } from "../../simulation/world/random.ts";
import { CallRecorder, HttpWorld, SERVER_URL } from "./support.ts";

const CASES = 400;
const GET: HttpRequest = {
  method: "GET",
  path: "/",
  headers: [],
  patience: { connectMs: 1000, answerMs: 1000, idleMs: 1000, stallMs: 1000 },
};

function textOf(random: Random, lengthMax: number): string {
  return latin1(random.fill(new Uint8Array(random.below(lengthMax + 1))));
}

function chunksOf(random: Random, body: string): string {
  let text = "";
  for (let at = 0; at < body.length;) {
    const size = 1 + random.below(body.length - at);
    const digits = random.chance(0.5) ? size.toString(16) : size.toString(16).toUpperCase().padStart(6, "0");
    text += `${digits}${random.chance(0.2) ? ";a=b" : ""}\r\n${body.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${text}0\r\n${random.chance(0.3) ? "x-end: y\r\n" : ""}\r\n`;
}

/** Fields and body of a message. */
function contentOf(random: Random, body: string): string {
  let fields = "";
  for (let i = random.below(4); i > 0; i--) fields += `X-${i}: ${random.pick(["", "a", " b  c\t", "\xe9"])}\r\n`;
  if (random.chance(0.5)) return `${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
  return `${fields}transfer-encoding: Chunked\r\n\r\n${chunksOf(random, body)}`;
}

interface Talk {
  readonly text: string;
  readonly bodies: string[];
}

function requestsOf(random: Random): Talk {
  let text = "";
  const bodies = Array.from({ length: 1 + random.below(4) }, () => textOf(random, random.pick([0, 10, 3000])));
  for (const body of bodies) text += `POST /p HTTP/1.1\r\nHost: x\r\n${contentOf(random, body)}`;
  return { text, bodies };
}

/** What could have become of it on the way, or in a hostile head. */
function mutate(random: Random, text: string): string {
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(text.length);
    const end = Math.min(text.length, at + 1 + random.below(random.pick([1, 5, 100])));
    const noise = random.chance(0.5)
      ? random.pick([
        "\r\n",
        "\n",
        "\r",
        " ",
        ":",
        "0\r\n\r\n",
        "Content-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\0",
      ])
      : textOf(random, 5);
    const kind = random.below(3);
    if (kind === 0) text = text.slice(0, at) + noise + text.slice(at);
    else if (kind === 1) text = text.slice(0, at) + noise + text.slice(end);
    else text = text.slice(0, end) + text.slice(at);
  }
  return text;
}

/** Cuts at random places, or everywhere. */
function piecesOf(random: Random, text: string): string[] {
  if (random.chance(0.2)) return [...text];
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const size = 1 + random.below(random.pick([3, 50, 2000]));
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}

/** The bodies that a handler was given, in order, and what the client was answered. */
function serve(pieces: readonly string[]): { bodies: string[]; answer: string; isOver: boolean } {
  const world = new HttpWorld();
  const bodies: string[] = [];
  world.serve((exchange: HttpExchange) => {
    let body = "";
    exchange.onData((chunk) => body += latin1(chunk));
    exchange.onEnd(() => {
      bodies.push(body);
      exchange.respond(204, []);
      exchange.end();
    });
  });
  const client = world.rawClient();
  for (const piece of pieces) client.send(piece);
  world.run(200);
  return { bodies, answer: client.received, isOver: client.hasEnded || client.isClosed };
}

/** What our client makes of an answer. */
function call(pieces: readonly string[]): unknown[] {
  const world = new HttpWorld();
  const servers = world.rawServers();
  const heard = new CallRecorder();
  world.client().request(SERVER_URL, GET, heard);
  world.run();
  for (const piece of pieces) servers[0].send(piece);
  world.run(200);
  servers[0].stream.end();
  world.run(2000);
  return [heard.status, heard.headers, heard.text, heard.isEnded, heard.error?.code];
}

test("requests arrive as they were sent, however they are cut", () => {
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    const { text, bodies } = requestsOf(random);
    const answer = "HTTP/1.1 204 No Content\r\n\r\n".repeat(bodies.length);
    expect([seed, serve(piecesOf(random, text))]).toEqual([seed, { bodies, answer, isOver: false }]);
  }
});

test("damaged requests are understood in the same way, however they are cut, or refused", () => {
  let refusals = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    const text = mutate(random, requestsOf(random).text);
    const whole = serve([text]);
    expect([seed, serve(piecesOf(random, text))]).toEqual([seed, whole]);
    if (/HTTP\/1\.1 [45]/.test(whole.answer)) {
      refusals++;
      expect(whole.isOver).toBe(true);
    }
  }
  expect(refusals).toBeGreaterThan(CASES / 4);
});

test("answers arrive as they were sent, however they are cut", () => {
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    const body = textOf(random, 3000);
    const text = `HTTP/1.1 200 OK\r\n${contentOf(random, body)}`;
    const [status, , received, isEnded, code] = call(piecesOf(random, text));
    expect([seed, status, received, isEnded, code]).toEqual([seed, 200, body, true, undefined]);
  }
});

test("damaged answers are understood in the same way, however they are cut, or fail the call", () => {
  let failures = 0;
  for (let seed = 0; seed < CASES; seed++) {
    const random = new Random(seed);
    const text = mutate(random, `HTTP/1.1 200 OK\r\n${contentOf(random, textOf(random, 300))}`);
    const whole = call([text]);
    expect([seed, call(piecesOf(random, text))]).toEqual([seed, whole]);
    const [, , , isEnded, code] = whole;
    expect(isEnded).toBe(code === undefined);
    if (code !== undefined) failures++;
  }
  expect(failures).toBeGreaterThan(CASES / 4);
});
