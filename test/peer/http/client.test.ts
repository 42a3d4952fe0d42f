import { describe, expect, test } from "bun:test";
import { bytesFromLatin1, latin1 } from "../../../src/base/bytes.ts";
import {
  PEER_HTTP_BLOCK_SIZE,
  PEER_HTTP_IDLE_CONNECTION_MS,
  PEER_HTTP_IDLE_CONNECTIONS_MAX,
} from "../../../src/base/limits.ts";
import {
  fieldValue,
  type HttpBody,
  type HttpBodySource,
  type HttpCall,
  type HttpClient,
  type HttpError,
  type HttpPatience,
  type HttpRequest,
  parsePeerUrl,
} from "../../../src/peer/http/mod.ts";
import { CallRecorder, HttpWorld, type RawPeer, SERVER_URL } from "./support.ts";

const bytes = bytesFromLatin1;
const PATIENCE: HttpPatience = { connectMs: 1000, answerMs: 5000, idleMs: 5000, stallMs: 5000 };

function get(path = "/", patience = PATIENCE): HttpRequest {
  return { method: "GET", path, headers: [], patience };
}

function post(body: HttpBody | undefined, patience = PATIENCE): HttpRequest {
  return { method: "POST", path: "/", headers: [["X-A", "1"]], body, patience };
}

const GET_TEXT = "GET / HTTP/1.1\r\nHost: server:2380\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A client of ours, and servers that speak by hand. */
class ClientWorld extends HttpWorld {
  readonly ours: HttpClient = this.client();
  readonly servers: RawPeer[] = this.rawServers();

  begin(request: HttpRequest): { call: HttpCall; heard: CallRecorder } {
    const heard = new CallRecorder();
    return { call: this.ours.request(SERVER_URL, request, heard), heard };
  }

  /** Begins a call, lets the newest server answer it, and returns what is heard of it. */
  exchange(request: HttpRequest, answer: string, pieceSize = Infinity): CallRecorder {
    const { heard } = this.begin(request);
    this.run();
    this.servers.at(-1)!.send(answer, pieceSize);
    this.run(500);
    return heard;
  }

  collect(request: HttpRequest, sizeMax: number): { text?: string; error?: HttpError } {
    const outcome: { text?: string; error?: HttpError } = {};
    this.ours.collect(SERVER_URL, request, sizeMax).then(
      ({ body }) => outcome.text = latin1(body),
      (error) => outcome.error = error,
    );
    return outcome;
  }
}

describe("a request", () => {
  test("is what it says, with a length where there is a body or might be one", () => {
    const world = new ClientWorld();
    const said = (request: HttpRequest): string => {
      world.exchange(request, "");
      const text = world.servers.at(-1)!.take();
      world.servers.at(-1)!.send(OK);
      world.run();
      return text;
    };
    expect(said(get())).toBe(GET_TEXT);
    const head = "POST / HTTP/1.1\r\nHost: server:2380\r\nX-A: 1\r\n";
    expect(said(post(bytes("hello")))).toBe(`${head}Content-Length: 5\r\n\r\nhello`);
    expect(said(post(undefined))).toBe(`${head}Content-Length: 0\r\n\r\n`);
    expect(said(post(sourceOf("hello")))).toBe(`${head}Content-Length: 5\r\n\r\nhello`);
    expect(said({ ...get(), body: bytes("{}") })).toBe(
      "GET / HTTP/1.1\r\nHost: server:2380\r\nContent-Length: 2\r\n\r\n{}",
    );
    expect(world.servers.length).toBe(1);
  });

  test("takes an answer in every framing, in one piece or byte by byte", () => {
    const answers: [answer: string, status: number, body: string][] = [
      [OK, 200, "ok"],
      [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nx: y\r\n\r\n",
        200,
        "hello world",
      ],
      ["HTTP/1.1 204 No Content\r\n\r\n", 204, ""],
      ["HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, ""],
      ["HTTP/1.1 500 \r\ncontent-length: 0\r\n\r\n", 500, ""],
      [
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nx: y\r\n\r\nHTTP/1.1 412\r\nContent-Length: 1\r\n\r\nx",
        412,
        "x",
      ],
    ];
    const world = new ClientWorld();
    for (const pieceSize of [Infinity, 1, 3]) {
      for (const [answer, status, body] of answers) {
        const heard = world.exchange(get(), answer, pieceSize);
        expect([heard.status, heard.text, heard.isEnded, heard.error]).toEqual([status, body, true, undefined]);
      }
    }
    expect(world.servers.length).toBe(1);
  });

  test("takes an answer that the end of the connection ends", () => {
    const world = new ClientWorld();
    const heard = world.exchange(get(), "HTTP/1.1 200 OK\r\nX-Y: z\r\n\r\npart");
    expect([heard.text, heard.isEnded]).toEqual(["part", false]);
    expect(fieldValue(heard.headers, "x-y")).toBe("z");
    expect(fieldValue(heard.headers, "x-z")).toBeUndefined();
    world.servers[0].stream.end();
    world.run();
    expect(heard.isEnded).toBe(true);
    expect(world.clientHost.streamCount).toBe(0);
  });

  test("hears of nothing more once it is aborted, also before it is connected", () => {
    const world = new ClientWorld();
    const early = world.begin(get());
    early.call.abort();
    world.run();
    expect(world.clientHost.streamCount).toBe(0);
    const { call, heard } = world.begin(get());
    world.run();
    const server = world.servers.at(-1)!;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    world.run();
    call.abort();
    call.abort();
    server.send("world");
    world.run();
    expect([heard.text, heard.isEnded, heard.error, early.heard.error]).toEqual(["hello", false, undefined, undefined]);
    expect(world.clientHost.streamCount).toBe(0);
    expect(server.hasEnded || server.isClosed).toBe(true);
  });

  test("hears nothing while it is paused, and its patience waits too", () => {
    const world = new ClientWorld();
    const { call, heard } = world.begin(get());
    call.pause();
    world.run();
    world.servers[0].send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    world.run(60_000);
    expect([heard.status, heard.text, heard.error]).toEqual([200, "", undefined]);
    call.resume();
    expect(heard.text).toBe("");
    world.run();
    expect(heard.text).toBe("one");
    call.pause();
    world.servers[0].send("3\r\ntwo\r\n0\r\n\r\n");
    world.run(60_000);
    expect([heard.text, heard.isEnded]).toEqual(["one", false]);
    call.resume();
    world.run();
    expect([heard.text, heard.isEnded]).toEqual(["onetwo", true]);
    expect(world.exchange(get(), OK).text).toBe("ok");
    expect(world.servers.length).toBe(1);
  });

  test("is collected as a whole, up to a size", () => {
    const world = new ClientWorld();
    const fits = world.collect(get(), 2);
    world.run();
    world.servers[0].send(OK);
    world.run();
    expect(fits).toEqual({ text: "ok" });
    const tooLarge = world.collect(get(), 1);
    world.run();
    world.servers[0].send(OK);
    world.run();
    expect(tooLarge.error?.code).toBe("EMSGSIZE");
    expect(world.clientHost.streamCount).toBe(0);
  });
});

describe("a body from a source", () => {
  test("is read as it is sent, no more than two blocks ahead, and arrives as it was", () => {
    const world = new ClientWorld();
    const size = 4 * PEER_HTTP_BLOCK_SIZE + 12_345;
    const source = new CountingSource(size);
    const { heard } = world.begin(post(source));
    while (world.servers.length === 0) world.run(0.1);
    const server = world.servers[0];
    server.stream.pause();
    world.run(1000);
    const readAhead = source.position - server.received.length;
    expect(readAhead).toBeLessThanOrEqual(2 * PEER_HTTP_BLOCK_SIZE + 256 * 1024);
    expect(source.position).toBeLessThan(size);
    server.stream.resume();
    world.run(5000);
    const body = server.received.slice(server.received.indexOf("\r\n\r\n") + 4);
    expect(body.length).toBe(size);
    expect(body === latin1(source.all())).toBe(true);
    server.send(OK);
    world.run();
    expect([heard.isEnded, source.concurrencyMax]).toEqual([true, 1]);
    expect(world.exchange(get(), OK).isEnded).toBe(true);
    expect(world.servers.length).toBe(1);
  });

  test("that cannot be read fails the call, and the server sees that it broke off", () => {
    const failures: HttpBodySource["read"][] = [
      () => Promise.reject(new Error("bad sector")),
      () => Promise.resolve(0),
    ];
    for (const fail of failures) {
      const world = new ClientWorld();
      const { heard } = world.begin(post({ size: 10, read: fail }));
      world.run();
      expect(heard.error?.code).toBe("EBODY");
      expect(world.servers[0].isClosed || world.servers[0].hasEnded).toBe(true);
    }
  });

  test("is not read on when the server answers early, and the connection is not used again", () => {
    const world = new ClientWorld();
    const source = new CountingSource(100 * PEER_HTTP_BLOCK_SIZE);
    const { heard } = world.begin(post(source));
    world.run();
    world.servers[0].stream.pause();
    world.run(500);
    world.servers[0].send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    world.run(500);
    expect([heard.status, heard.text, heard.isEnded]).toEqual([403, "no", true]);
    expect(world.clientHost.streamCount).toBe(0);
    const { position } = source;
    world.run(5000);
    expect(source.position).toBe(position);
  });

  test("that the server does not take fails the call", () => {
    const world = new ClientWorld();
    const { heard } = world.begin(post(new CountingSource(100 * PEER_HTTP_BLOCK_SIZE)));
    world.run(10);
    world.servers[0].stream.pause();
    world.run(4000);
    expect(heard.error).toBeUndefined();
    world.run(3000);
    expect(heard.error?.code).toBe("ETIMEDOUT");
  });
});

describe("a connection", () => {
  test("is kept for the next call, for a while", () => {
    const world = new ClientWorld();
    for (let i = 0; i < 5; i++) expect(world.exchange(get(), OK).isEnded).toBe(true);
    expect(world.servers.length).toBe(1);
    world.run(PEER_HTTP_IDLE_CONNECTION_MS + 1000);
    expect(world.clientHost.streamCount).toBe(0);
    expect(world.exchange(get(), OK).isEnded).toBe(true);
    expect(world.servers.length).toBe(2);
  });

  test("serves one call at a time, and no more are kept than a few", () => {
    const world = new ClientWorld();
    const count = PEER_HTTP_IDLE_CONNECTIONS_MAX + 3;
    const calls = Array.from({ length: count }, () => world.begin(get()));
    world.run();
    expect(world.servers.length).toBe(count);
    for (const server of world.servers) server.send(OK);
    world.run();
    expect(calls.every(({ heard }) => heard.isEnded)).toBe(true);
    expect(world.clientHost.streamCount).toBe(PEER_HTTP_IDLE_CONNECTIONS_MAX);
  });

  test("may be taken up again as soon as an answer has ended", () => {
    const world = new ClientWorld();
    const second = new CallRecorder();
    const first = new CallRecorder();
    first.onEnd = () => void world.ours.request(SERVER_URL, get("/2"), second);
    world.ours.request(SERVER_URL, get("/1"), first);
    world.run();
    world.servers[0].send(OK);
    world.run();
    expect(world.servers[0].received).toContain("GET /2 ");
    world.servers[0].send(OK);
    world.run();
    expect([second.isEnded, world.servers.length]).toEqual([true, 1]);
  });

  test("is not used for a call that begins when an answer ends, if something else is there already", () => {
    const world = new ClientWorld();
    const second = new CallRecorder();
    const first = new CallRecorder();
    first.onEnd = () => void world.ours.request(SERVER_URL, get("/2"), second);
    world.ours.request(SERVER_URL, get("/1"), first);
    world.run();
    world.servers[0].send(`${OK}${OK.replace("ok", "ko")}`);
    world.run();
    world.servers[1].send(OK);
    world.run();
    expect(second.text).toBe("ok");
  });

  test("is not used again where the server said so, or said more than it was asked", () => {
    const answers = [
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
      `HTTP/1.1 204 No Content\r\n\r\nok${OK}`,
    ];
    for (const answer of answers) {
      const world = new ClientWorld();
      expect(world.exchange(get(), answer).isEnded).toBe(true);
      expect(world.clientHost.streamCount).toBe(0);
    }
    const world = new ClientWorld();
    world.exchange(get(), OK);
    world.servers[0].send("HTTP/1.1 408 Request Timeout\r\n\r\n");
    world.run();
    expect(world.clientHost.streamCount).toBe(0);
  });

  test("that was closed while idle is replaced for a GET, and a POST is never sent twice", () => {
    for (const leave of ["end", "destroy"] as const) {
      for (const request of [get(), post(bytes("proposal"))]) {
        const world = new ClientWorld();
        world.exchange(get(), OK);
        // The close and the request meet on the way.
        world.servers[0].stream[leave]();
        const { heard } = world.begin(request);
        world.run();
        if (request.method === "GET") {
          world.servers[1].send(OK);
          world.run();
          expect([heard.isEnded, heard.error]).toEqual([true, undefined]);
        } else {
          expect([heard.error?.code, heard.error?.isUnsent]).toEqual(["ECONNRESET", false]);
          expect(world.servers.length).toBe(1);
        }
      }
    }
  });

  test("that is lost amid an answer, or before a first call's answer, fails the call", () => {
    const cases: [isReused: boolean, said: string][] = [[false, ""], [true, "H"], [true, `${OK.slice(0, -1)}`]];
    for (const [isReused, said] of cases) {
      const world = new ClientWorld();
      if (isReused) world.exchange(get(), OK);
      const heard = world.exchange(get(), said);
      world.servers[0].stream.end();
      world.run();
      expect([heard.error?.code, world.servers.length]).toEqual(["ECONNRESET", 1]);
    }
  });
});

describe("a call fails", () => {
  function codeOf(world: ClientWorld, request: HttpRequest, ms: number): string | undefined {
    const { heard } = world.begin(request);
    world.run(ms);
    return heard.error && `${heard.error.code} ${heard.error.isUnsent ? "unsent" : "sent"}`;
  }

  test("where nobody is, or nobody listens", () => {
    const world = new ClientWorld();
    const recorder = new CallRecorder();
    world.ours.request(parsePeerUrl("http://server:1")!, get(), recorder);
    world.run();
    expect(recorder.error).toMatchObject({ code: "ECONNREFUSED", isUnsent: true });
    expect(recorder.error?.message).toStartWith("GET http://server:1/: ");
    world.network.link("client", "server").isCut = true;
    expect(codeOf(world, get(), 900)).toBeUndefined();
    expect(codeOf(world, get(), 1100)).toBe("ETIMEDOUT unsent");
  });

  test("where no answer comes in time, or does not go on", () => {
    const world = new ClientWorld();
    expect(codeOf(world, get(), 4900)).toBeUndefined();
    expect(codeOf(world, get(), 5500)).toBe("ETIMEDOUT sent");
    const heard = world.exchange(get(), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    world.run(4000);
    expect(heard.error).toBeUndefined();
    world.run(2500);
    expect(heard.error?.code).toBe("ETIMEDOUT");
    expect(world.clientHost.streamCount).toBe(0);
  });

  test("never, where it may take for ever and goes on", () => {
    const world = new ClientWorld();
    const heard = world.exchange(get("/", { ...PATIENCE, answerMs: Infinity, idleMs: 5000 }), "");
    world.run(3_600_000);
    world.servers[0].send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 1000; i++) {
      world.run(4900);
      world.servers[0].send("1\r\nx\r\n");
    }
    world.run();
    expect([heard.text.length, heard.error]).toEqual([1000, undefined]);
  });

  test("where the answer is not HTTP/1.1", () => {
    const answers = [
      "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
      "HTTP/2 200 OK\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
      "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
      `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`,
    ];
    for (const answer of answers) {
      const world = new ClientWorld();
      expect(world.exchange(get(), answer).error?.code).toBe("EPROTO");
      expect(world.clientHost.streamCount).toBe(0);
    }
  });

  test("where TLS is asked for, which is not there yet", () => {
    const world = new ClientWorld();
    const recorder = new CallRecorder();
    world.ours.request(parsePeerUrl("https://server:2380")!, get(), recorder);
    expect(recorder.error).toBeUndefined();
    world.run();
    expect(recorder.error).toMatchObject({ code: "EPROTONOSUPPORT", isUnsent: true });
    expect(recorder.error?.message).toContain("TLS");
    expect(world.servers.length).toBe(0);
  });

  test("when the client is closed, whatever it is at", () => {
    const world = new ClientWorld();
    world.exchange(get(), OK);
    const waiting = world.begin(get());
    world.run();
    const connecting = world.begin(get());
    world.ours.close();
    const late = world.begin(get());
    world.run();
    const failed = [waiting, connecting, late].map(({ heard: { error } }) => [error?.code, error?.isUnsent]);
    expect(failed).toEqual([["EABORTED", false], ["EABORTED", true], ["EABORTED", true]]);
    expect(world.clientHost.streamCount).toBe(0);
  });
});

test("a request that could smuggle a line in cannot be made", () => {
  const world = new ClientWorld();
  expect(() => world.begin(get("/ HTTP/1.1\r\nX: y"))).toThrow("assertion");
  world.exchange({ ...get(), headers: [["x", "a\r\ny: b"]] }, "");
  expect(world.servers[0].received).toContain("x: a  y: b\r\n\r\n");
});

function sourceOf(text: string): HttpBodySource {
  return {
    size: text.length,
    read(target, position) {
      target[0] = text.charCodeAt(position);
      return Promise.resolve(1);
    },
  };
}

/** A body of numbered bytes, read in pieces of changing size. */
class CountingSource implements HttpBodySource {
  readonly size: number;
  position = 0;
  concurrencyMax = 0;
  #concurrency = 0;

  constructor(size: number) {
    this.size = size;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    expect(position).toBe(this.position);
    this.concurrencyMax = Math.max(this.concurrencyMax, ++this.#concurrency);
    const count = Math.max(1, target.length - (position % 1000));
    for (let i = 0; i < count; i++) target[i] = (position + i) % 251;
    this.position += count;
    await undefined;
    this.#concurrency--;
    return count;
  }

  all(): Uint8Array {
    return new Uint8Array(this.size).map((_, i) => i % 251);
  }
}
