import { describe, expect, test } from "bun:test";
import { bytesFromLatin1, latin1 } from "../../../src/base/bytes.ts";
import {
  PEER_HTTP_CONNECTIONS_MAX,
  PEER_HTTP_DISCARD_SIZE_MAX,
  PEER_HTTP_HEAD_SIZE_MAX,
  PEER_HTTP_HIGH_WATER,
} from "../../../src/base/limits.ts";
import type { HttpExchange } from "../../../src/io/net.ts";
import { HttpServer } from "../../../src/peer/http/mod.ts";
import { HttpWorld, type RawPeer } from "./support.ts";

const bytes = bytesFromLatin1;

/** Says what it was asked, once it was asked all of it. */
function echo(exchange: HttpExchange): void {
  let body = "";
  exchange.onData((chunk) => body += latin1(chunk));
  exchange.onEnd(() => {
    const text = `${exchange.method} ${exchange.path} ${exchange.authority} [${body}]`;
    exchange.respond(200, [["content-length", String(text.length)]]);
    exchange.write(bytes(text));
    exchange.end();
  });
}

function answerOf(text: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
}

function connect(handler: (exchange: HttpExchange) => void): { world: HttpWorld; client: RawPeer } {
  const world = new HttpWorld();
  world.serve(handler);
  return { world, client: world.rawClient() };
}

/** What the server says to these bytes, and whether it then hangs up. */
function say(text: string, pieceSize = Infinity): { answer: string; isOver: boolean } {
  const { world, client } = connect(echo);
  client.send(text, pieceSize);
  world.run(500);
  return { answer: client.received, isOver: client.hasEnded || client.isClosed };
}

describe("requests", () => {
  const TALK = "GET /a?b=%20 HTTP/1.1\r\nHost: x:1\r\n\r\n" +
    "POST /b HTTP/1.1\r\nHost:\tx:1 \r\ncontent-length: 5\r\n\r\nhello" +
    "POST /c HTTP/1.1\r\nhost: x:1\r\ntransfer-encoding: chunked\r\n\r\n" +
    "5\r\nhello\r\n0006;name=value\r\n world\r\n0\r\ntrailer: x\r\n\r\n" +
    "GET http://y/d HTTP/1.1\r\nHost: x:1\r\n\r\n";
  const ANSWERS = answerOf("GET /a?b=%20 x:1 []") + answerOf("POST /b x:1 [hello]") +
    answerOf("POST /c x:1 [hello world]") + answerOf("GET /d y []");

  test("follow one another on a connection, in one piece or byte by byte", () => {
    for (const size of [Infinity, 1, 2, 3, 7, 20, 50]) {
      expect(say(TALK, size)).toEqual({ answer: ANSWERS, isOver: false });
    }
  });

  test("that were sent ahead are answered in order, one at a time", () => {
    const exchanges: HttpExchange[] = [];
    const { world, client } = connect((exchange) => {
      exchanges.push(exchange);
      exchange.pause();
    });
    for (const path of ["/1", "/2", "/3"]) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
      world.run();
    }
    for (let i = 0; i < 3; i++) {
      world.run();
      expect(exchanges.map(({ path }) => path)).toEqual(["/1", "/2", "/3"].slice(0, i + 1));
      exchanges[i].respond(204, []);
      exchanges[i].end();
    }
    world.run();
    expect(client.received).toBe("HTTP/1.1 204 No Content\r\n\r\n".repeat(3));
  });

  test("have their fields in order, with names in lower case", () => {
    let headers: unknown;
    const { world, client } = connect((exchange) => headers = exchange.headers);
    client.send("GET / HTTP/1.1\r\nHost: x\r\nX-B: 2\r\nx-a:\r\nX-B: \t3 \xfc \r\n\r\n");
    world.run();
    expect(headers).toEqual([["host", "x"], ["x-b", "2"], ["x-a", ""], ["x-b", "3 \xfc"]]);
  });

  test("may begin in bytes that were read before", () => {
    const world = new HttpWorld();
    const server = new HttpServer({ clock: world.serverTime, handler: echo });
    const head = bytes("GET /early HTTP/1.1\r\nHo");
    void world.serverHost.listen({ host: "server", port: 2380 }, {
      onStream(stream) {
        server.serve(stream, head);
        head.fill(0);
      },
      onStreamClosed() {},
    });
    const client = world.rawClient();
    client.send("st: x\r\n\r\n");
    world.run();
    expect(client.received).toBe(answerOf("GET /early x []"));
  });

  test("whose body is paused are delivered when it is resumed, and nothing before", () => {
    let exchange: HttpExchange | undefined;
    let body = "";
    let isEnded = false;
    const { world, client } = connect((given) => {
      exchange = given;
      given.pause();
      given.onData((chunk) => {
        body += latin1(chunk);
        if (body === "one") given.pause();
      });
      given.onEnd(() => isEnded = true);
    });
    client.send("POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    world.run(10 * 60_000);
    expect(body).toBe("");
    exchange!.resume();
    expect(body).toBe("");
    world.run();
    expect([body, isEnded]).toEqual(["one", false]);
    exchange!.resume();
    world.run();
    expect([body, isEnded]).toEqual(["onetwo", true]);
  });
});

test("a body's end is not told while it is paused", () => {
  let exchange: HttpExchange | undefined;
  let isEnded = false;
  const { world, client } = connect((given) => {
    exchange = given;
    given.onData(() => given.pause());
    given.onEnd(() => isEnded = true);
  });
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx");
  world.run(120_000);
  expect(isEnded).toBe(false);
  exchange!.resume();
  world.run();
  expect(isEnded).toBe(true);
});

describe("a request without a body", () => {
  test("ends when its exchange is resumed, if it was paused, and not before", () => {
    for (
      const request of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"]
    ) {
      let exchange: HttpExchange | undefined;
      const { world, client } = connect((given) => {
        exchange = given;
        given.pause();
      });
      client.send(request);
      world.run();
      echo(exchange!);
      world.run();
      expect(client.received).toBe("");
      exchange!.resume();
      exchange!.pause();
      world.run();
      expect(client.received).toBe("");
      exchange!.resume();
      expect(client.received).toBe("");
      world.run();
      expect(client.received).toContain("HTTP/1.1 200 OK");
    }
  });

  test("is aborted when the client goes, also while it is paused", () => {
    let abortCount = 0;
    const { world, client } = connect((exchange) => {
      exchange.pause();
      exchange.onAbort(() => abortCount++);
    });
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    client.stream.end();
    world.run();
    expect(abortCount).toBe(1);
  });

  test("may be answered while it is paused, and the next one is read", () => {
    const { world, client } = connect((exchange) => {
      if (exchange.path === "/2") return echo(exchange);
      exchange.pause();
      if (exchange.path === "/resumed") exchange.resume();
      exchange.respond(204, []);
      exchange.end();
      expect(exchange.write(bytes("too late"))).toBe(true);
    });
    for (const path of ["/1", "/resumed"]) {
      client.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na`);
      world.run();
      expect(client.take()).toBe("HTTP/1.1 204 No Content\r\n\r\n");
      client.send("b");
      world.run();
      expect(client.take()).toBe(answerOf("POST /2 x [ab]"));
    }
  });
});

describe("what is malformed", () => {
  const cases: [why: string, request: string, status?: number][] = [
    ["both lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"],
    ["a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"],
    ["a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"],
    ["an endless length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999\r\n\r\n"],
    [
      "two codings",
      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["chunks in HTTP/1.0", "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["another coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501],
    ["a bare line feed", "GET / HTTP/1.1\nHost: x\n\n"],
    ["a bare carriage return", "GET / HTTP/1.1\r\nHost: x\rY: z\r\n\r\n"],
    ["a folded line", "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n"],
    ["a space before the colon", "GET / HTTP/1.1\r\nHost: x\r\nX-A : 1\r\n\r\n"],
    ["a line without a colon", "GET / HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n"],
    ["a field without a name", "GET / HTTP/1.1\r\nHost: x\r\n: 1\r\n\r\n"],
    ["a control character in a value", "GET / HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n"],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"],
    ["two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["a target that is no path", "GET x HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["HTTP/0.9", "GET /\r\n\r\n"],
    ["nothing", "\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x00\x05\x01\r\n\r\n"],
    ["an unknown expectation", "GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417],
    ["a large head", `GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(PEER_HTTP_HEAD_SIZE_MAX)}\r\n\r\n`, 431],
    ["a chunk's size that is none", chunked("g\r\n")],
    ["an empty chunk's size", chunked("\r\n")],
    ["a negative chunk's size", chunked("-1\r\n")],
    ["a chunk's size that never ends", chunked("00000000000000001\r\nx\r\n0\r\n\r\n")],
    ["a chunk beyond counting", chunked("ffffffffffffffff\r\n")],
    ["a chunk that ends with a bare line feed", chunked("1\nx\r\n0\r\n\r\n")],
    ["a chunk that is longer than its size", chunked("1\r\nxy\r\n0\r\n\r\n")],
    ["an extension with a bare line feed", chunked("1;a\nb\r\nx\r\n0\r\n\r\n")],
    ["an endless extension", chunked(`1;${"a".repeat(300)}\r\nx\r\n0\r\n\r\n`)],
    ["a malformed trailer", chunked("0\r\nx y\r\n\r\n")],
  ];

  function chunked(body: string): string {
    return `POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
  }

  test.each(cases)("%s is refused, and nothing after it is read", (_why, request, status = 400) => {
    for (const size of [Infinity, 1]) {
      const { answer, isOver } = say(`${request}GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`, size);
      expect(answer.slice(0, 12)).toBe(`HTTP/1.1 ${status}`);
      expect(answer).toContain("\r\nconnection: close\r\n");
      expect(answer).not.toContain("smuggled");
      expect(isOver).toBe(true);
    }
  });

  test("the handler of a body that turns out to be malformed is told that it was lost", () => {
    let isAborted = false;
    const { world, client } = connect((exchange) => {
      exchange.onAbort(() => isAborted = true);
      exchange.respond(200, []);
    });
    client.send(chunked("x"));
    world.run();
    expect([isAborted, client.isClosed]).toEqual([true, true]);
  });
});

describe("answers", () => {
  /** What a client receives where the handler answers in this way. */
  function receive(
    answer: (exchange: HttpExchange) => void,
    request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  ): { text: string; isOver: boolean } {
    const { world, client } = connect(answer);
    client.send(request);
    world.run();
    return { text: client.received, isOver: client.hasEnded };
  }

  test("of unknown length are chunked, what is written in one turn as one chunk", () => {
    const { text, isOver } = receive((exchange) => {
      exchange.respond(200, [["x-a", "1"]]);
      for (const part of ["one ", "two ", "", "three"]) expect(exchange.write(bytes(part))).toBe(true);
      exchange.end([["x-end", "2"]]);
    });
    expect(text).toBe(
      "HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n" +
        "0000000d\r\none two three\r\n0\r\nx-end: 2\r\n\r\n",
    );
    expect(isOver).toBe(false);
  });

  test("are chunks again in a later turn, and large ones leave in several", () => {
    const large = "x".repeat(200_000);
    const { world, client } = connect((exchange) => {
      exchange.respond(200, []);
      world.serverTime.run(1, () => exchange.write(bytes("small")));
      world.serverTime.run(2, () => {
        exchange.write(bytes("a"));
        exchange.write(bytes(large));
        exchange.end();
      });
    });
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    expect(client.received.split("\r\n\r\n", 2)[1] ?? "").toStartWith(
      "00000005\r\nsmall\r\n00000001\r\na\r\n00030d40\r\nxxx",
    );
    expect(client.received).toEndWith("xxx\r\n0\r\n\r\n");
  });

  test("to HEAD, and those that have none, have no body", () => {
    const answer = (exchange: HttpExchange) => {
      exchange.respond(exchange.path === "/" ? 200 : 304, []);
      exchange.write(bytes("not sent"));
      exchange.end();
    };
    expect(receive(answer, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").text).toBe("HTTP/1.1 200 OK\r\n\r\n");
    expect(receive(answer, "GET /304 HTTP/1.1\r\nHost: x\r\n\r\n").text).toBe("HTTP/1.1 304 \r\n\r\n");
  });

  test("to HTTP/1.0, and to who asks for it, end the connection", () => {
    const answer = (exchange: HttpExchange) => {
      exchange.respond(200, []);
      exchange.write(bytes("x"));
      exchange.end();
    };
    expect(receive(answer, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).toEqual({
      text: "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nx",
      isOver: true,
    });
    expect(receive(answer, "GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n")).toEqual({
      text: "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n00000001\r\nx\r\n0\r\n\r\n",
      isOver: true,
    });
  });

  test("have no line that a value has smuggled in", () => {
    const { text } = receive((exchange) => {
      exchange.respond(204, [["x", "a\r\nb: c\u010d\u010a"]]);
      exchange.end();
    });
    expect(text).toBe("HTTP/1.1 204 No Content\r\nx: a  b: c??\r\n\r\n");
  });

  test("that have ended take nothing more", () => {
    const { text } = receive((exchange) => {
      exchange.respond(200, []);
      exchange.end();
      exchange.write(bytes("x"));
      exchange.end();
      exchange.respond(500, []);
      exchange.abort();
    });
    expect(text).toBe("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n");
  });

  test("that are given up break the connection off", () => {
    let abortCount = 0;
    const { world, client } = connect((exchange) => {
      exchange.onAbort(() => abortCount++);
      exchange.respond(200, []);
      exchange.abort();
      expect(exchange.isClosed).toBe(true);
      expect(exchange.write(bytes("x"))).toBe(true);
      exchange.end();
    });
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    expect(client.hasEnded || client.isClosed).toBe(true);
    expect([client.received, abortCount]).toEqual(["", 0]);
  });

  test("that the client does not read hold the writer back, and then end", () => {
    let exchange: HttpExchange | undefined;
    let drainCount = 0;
    let abortCount = 0;
    const { world, client } = connect((given) => {
      exchange = given;
      given.onDrain(() => drainCount++);
      given.onAbort(() => abortCount++);
      given.respond(200, []);
    });
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client.stream.pause();
    world.run();
    let size = 0;
    for (let mayWrite = true; mayWrite; size += 1000) {
      mayWrite = exchange!.write(new Uint8Array(1000));
      if (size % 10_000 === 0) world.run(1);
    }
    expect(size).toBeGreaterThan(PEER_HTTP_HIGH_WATER);
    expect(size).toBeLessThan(PEER_HTTP_HIGH_WATER + 200_000);
    world.run(3000);
    expect(drainCount).toBe(0);
    client.stream.resume();
    world.run();
    expect(drainCount).toBe(1);
    client.stream.pause();
    while (exchange!.write(new Uint8Array(1000)));
    world.run(4000);
    expect(abortCount).toBe(0);
    world.run(2500);
    expect([abortCount, drainCount, exchange!.isClosed]).toEqual([1, 1, true]);
  });

  test("that the client does not read keep it from asking for more", () => {
    let count = 0;
    const { world, client } = connect((exchange) => {
      count++;
      exchange.respond(200, [["content-length", "100000"]]);
      exchange.write(new Uint8Array(100_000));
      exchange.end();
    });
    client.stream.pause();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100));
    world.run();
    expect(count).toBeGreaterThan(2);
    expect(count).toBeLessThan(10);
    client.stream.resume();
    world.run(2000);
    expect(count).toBe(100);
    expect(client.received.length).toBeGreaterThan(10_000_000);
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    expect(count).toBe(101);
  });

  test("that go on for ever are aborted once, when the client hangs up or is lost", () => {
    for (const leave of ["end", "destroy"] as const) {
      let abortCount = 0;
      const { world, client } = connect((exchange) => {
        exchange.onAbort(() => abortCount++);
        exchange.respond(200, []);
        exchange.write(bytes("x"));
      });
      client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      world.run(60_000);
      expect([client.received.length > 0, abortCount]).toEqual([true, 0]);
      client.stream[leave]();
      world.run();
      expect(abortCount).toBe(1);
      expect(world.serverHost.streamCount).toBe(0);
    }
  });
});

describe("a body that waits to be asked for", () => {
  const HEAD = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

  test("is asked for when the handler reads", () => {
    const { world, client } = connect(echo);
    client.send(HEAD);
    world.run();
    expect(client.take()).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    world.run();
    expect(client.take()).toBe(answerOf("POST / x [body]"));
  });

  test("is asked for when a handler that was paused reads", () => {
    let exchange: HttpExchange | undefined;
    const { world, client } = connect((given) => {
      exchange = given;
      given.pause();
    });
    client.send(HEAD);
    world.run();
    expect(client.received).toBe("");
    exchange!.resume();
    world.run();
    expect(client.received).toBe("HTTP/1.1 100 Continue\r\n\r\n");
  });

  test("is not asked for where the answer is known, which is then the connection's last", () => {
    const { world, client } = connect((exchange) => {
      exchange.respond(403, []);
      exchange.end();
    });
    client.send(HEAD);
    world.run();
    expect(client.received).toBe(
      "HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
    );
    expect(client.hasEnded).toBe(true);
  });
});

describe("a request that is answered before its body is there", () => {
  function refuse(exchange: HttpExchange): void {
    exchange.respond(412, [["content-length", "0"]]);
    exchange.end();
  }

  test("leaves the connection to the next one, if the rest is small", () => {
    const { world, client } = connect((exchange) => exchange.method === "GET" ? echo(exchange) : refuse(exchange));
    const size = 100_000;
    client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n`);
    world.run();
    expect(client.take()).toStartWith("HTTP/1.1 412 ");
    client.send(`${"x".repeat(size)}GET /next HTTP/1.1\r\nHost: x\r\n\r\n`);
    world.run();
    expect(client.take()).toBe(answerOf("GET /next x []"));
  });

  test("is read on even if its handler had paused it", () => {
    let exchange: HttpExchange | undefined;
    const { world, client } = connect((given) => {
      if (given.method === "GET") return echo(given);
      exchange = given;
      given.pause();
    });
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxxxGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    refuse(exchange!);
    world.run();
    expect(client.take()).toEndWith(answerOf("GET /next x []"));
  });

  test("ends it otherwise, and the client can read the answer while it still sends", () => {
    const { world, client } = connect(refuse);
    client.send(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n`);
    client.send("x".repeat(2 * PEER_HTTP_DISCARD_SIZE_MAX), 10_000);
    world.run(500);
    expect(client.received).toStartWith("HTTP/1.1 412 ");
    expect([client.hasEnded, client.isClosed]).toEqual([true, false]);
    world.run(1500);
    expect(world.serverHost.streamCount).toBe(0);
  });
});

describe("patience", () => {
  const GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

  /** Milliseconds until the server drops a client that has said this, if it does within half an hour. */
  function enduranceMs(said: string, handler: (exchange: HttpExchange) => void = echo): number {
    const { world, client } = connect(handler);
    const startMs = world.scheduler.nowMs;
    for (let i = 0; i < said.length; i++) world.clientTime.run(i, () => client.send(said[i]));
    const isDropped = world.scheduler.runUntilDone(() => client.hasEnded || client.isClosed, startMs + 1_800_000, 100);
    return isDropped ? world.scheduler.nowMs - startMs : Infinity;
  }

  test("with a client that says nothing, little, or not all that it promised has an end", () => {
    const within = (ms: number, least: number, most: number) => ms >= least && ms <= most;
    expect(within(enduranceMs(""), 300_000, 301_000)).toBe(true);
    expect(within(enduranceMs("G"), 30_000, 31_000)).toBe(true);
    expect(within(enduranceMs(GET), 300_000, 301_000)).toBe(true);
    expect(within(enduranceMs(`${GET}G`), 30_000, 31_000)).toBe(true);
    const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12";
    expect(within(enduranceMs(post), 60_000, 76_000)).toBe(true);
  });

  test("with a client that waits for its answer, or for the handler to read, has none", () => {
    expect(enduranceMs(GET, () => {})).toBe(Infinity);
    expect(enduranceMs("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12", (exchange) => exchange.pause()))
      .toBe(Infinity);
  });

  test("with a header block that comes byte by byte is not renewed by each byte", () => {
    const { world, client } = connect(echo);
    const text = "GET / HTTP/1.1\r\nX: ".padEnd(1000, "x");
    for (let i = 0; i < text.length; i++) world.clientTime.run(i * 100, () => client.send(text[i]));
    world.run(32_000);
    expect(client.hasEnded || client.isClosed).toBe(true);
  });

  test("with a body that goes on slowly is renewed", () => {
    const { world, client } = connect(echo);
    client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n");
    for (let i = 0; i < 20; i++) {
      world.run(40_000);
      client.send("x");
    }
    world.run();
    expect(client.received).toBe(answerOf(`POST / x [${"x".repeat(20)}]`));
  });

  test("with connections has a bound", () => {
    const world = new HttpWorld();
    world.serve(echo);
    const clients = Array.from({ length: PEER_HTTP_CONNECTIONS_MAX + 1 }, () => world.rawClient());
    expect(clients.filter((client) => client.hasEnded || client.isClosed)).toEqual([clients.at(-1)!]);
  });
});

describe("stop", () => {
  test("ends connections without a request at once, and the others with their answers", async () => {
    const world = new HttpWorld();
    let busy: HttpExchange | undefined;
    const server = world.serve((exchange) => exchange.path === "/busy" ? busy = exchange : echo(exchange));
    const clients = Array.from({ length: 3 }, () => world.rawClient());
    clients[1].send("GET /done HTTP/1.1\r\nHost: x\r\n\r\n");
    clients[2].send("GET /busy HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    let isStopped = false;
    void server.stop(10_000).then(() => isStopped = true);
    world.run(10);
    expect(clients.map(({ hasEnded }) => hasEnded)).toEqual([true, true, false]);
    clients[0].stream.end();
    clients[1].stream.end();
    busy!.respond(200, [["content-length", "2"]]);
    busy!.write(bytes("ok"));
    busy!.end();
    world.run(10);
    expect(clients[2].received).toBe("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    expect(clients[2].hasEnded).toBe(true);
    clients[2].stream.end();
    world.run(10);
    expect(isStopped).toBe(true);
    const late = world.rawClient();
    world.run();
    expect(late.hasEnded || late.isClosed).toBe(true);
  });

  test("ends a connection after an answer that had begun before", () => {
    const world = new HttpWorld();
    let exchange: HttpExchange | undefined;
    const server = world.serve((given) => {
      exchange = given;
      given.respond(200, []);
    });
    const client = world.rawClient();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    void server.stop(10_000);
    exchange!.end();
    world.run(10);
    expect([client.received.endsWith("\r\n0\r\n\r\n"), client.hasEnded]).toEqual([true, true]);
  });

  test("drops at the deadline what is still being answered", () => {
    const world = new HttpWorld();
    let abortCount = 0;
    const server = world.serve((exchange) => exchange.onAbort(() => abortCount++));
    const client = world.rawClient();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    world.run();
    let isStopped = false;
    void server.stop(1000).then(() => isStopped = true);
    world.run(900);
    expect([isStopped, abortCount]).toEqual([false, 0]);
    world.run(200);
    expect([isStopped, abortCount]).toEqual([true, 1]);
    expect(client.hasEnded || client.isClosed).toBe(true);
  });

  test("is done at once where there is nobody", () => {
    const world = new HttpWorld();
    let isStopped = false;
    void world.serve(echo).stop(1000).then(() => isStopped = true);
    world.run(1);
    expect(isStopped).toBe(true);
  });
});
