/** What every byte stream of a real network promises, accepted or opened, on both of them. The other end is a node:net socket. */

import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ByteStream, ByteStreamListener, ListenAddress, Network, StreamServer } from "../../../src/io/net.ts";
import { bunNetwork, nodeNetwork } from "../../../src/io/system/mod.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Bounded waiting; the failure names what was waited for. */
async function until(condition: () => boolean, ms = 5000): Promise<void> {
  const deadlineMs = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`still not: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const settle = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms));

/** A listener that keeps what it hears, and notices if it is called from inside a call to its stream. */
class Recorder implements ByteStreamListener {
  readonly events: string[] = [];
  text = "";
  error: Error | undefined;
  isCalling = false;

  hear(event: string): void {
    this.events.push(this.isCalling ? `${event} from inside a call` : event);
  }

  onData(bytes: Uint8Array): void {
    const text = new TextDecoder().decode(bytes);
    this.text += text;
    this.hear(`data ${text.length < 20 ? text : text.length}`);
  }

  onEnd(): void {
    this.hear("end");
  }

  onDrain(): void {
    this.hear("drain");
  }

  onClose(error?: Error): void {
    this.error = error;
    this.hear(error === undefined ? "close" : "broken");
  }

  call(action: () => void): void {
    this.isCalling = true;
    action();
    this.isCalling = false;
  }
}

/** A stream of ours and the socket at its other end. */
interface Pair {
  readonly client: Socket;
  readonly stream: ByteStream;
}

interface AcceptedPair extends Pair {
  readonly server: StreamServer;
  closedCount: number;
}

/** The stream is one that a client has opened. */
async function accept(network: Network, at: ListenAddress = LOOPBACK): Promise<AcceptedPair> {
  const streams: ByteStream[] = [];
  let closedCount = 0;
  const server = await network.listen(at, {
    onStream: (stream) => streams.push(stream),
    onStreamClosed: () => closedCount++,
  });
  const client = "path" in at ? connect(at.path) : connect({
    port: Number(server.address.split(":").at(-1)),
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  client.on("error", () => {});
  cleanups.push(() => {
    client.destroy();
    for (const stream of streams) stream.destroy();
    server.close();
  });
  await until(() => streams.length > 0);
  return {
    server,
    client,
    stream: streams[0],
    get closedCount() {
      return closedCount;
    },
  };
}

/** A server of node's, and the sockets that it has accepted. */
async function nodeServer(at: ListenAddress = LOOPBACK): Promise<{ server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(at, resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** The stream is one that we have opened. */
async function dial(network: Network): Promise<Pair> {
  const { server, sockets } = await nodeServer();
  const stream = await network.connect({ host: "127.0.0.1", port: portOf(server) }, 1000);
  cleanups.push(() => stream.destroy());
  await until(() => sockets.length > 0);
  return { client: sockets[0], stream };
}

function listen(stream: ByteStream): Recorder {
  const recorder = new Recorder();
  stream.listen(recorder);
  return recorder;
}

/** Numbers, so that a byte out of place is seen. */
function pattern(size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = i;
  return new Uint8Array(words.buffer, 0, size);
}

const NETWORKS: [string, Network][] = [["Bun's sockets", bunNetwork], ["node:net", nodeNetwork]];
const PAIRS: [string, () => Promise<Pair>][] = NETWORKS.flatMap(([name, network]) => [
  [`a stream accepted by ${name}`, () => accept(network)],
  [`a stream opened by ${name}`, () => dial(network)],
]);

describe.each(PAIRS)("%s", (_name, open) => {
  test("bytes go both ways", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    let received = "";
    client.setEncoding("utf8").on("data", (text: string) => received += text);
    expect(stream.remoteAddress).toMatch(/^127\.0\.0\.1:\d+$/);
    client.write("question");
    await until(() => recorder.text === "question");
    expect(stream.write(new TextEncoder().encode("answer"))).toBe(true);
    await until(() => received === "answer");
  });

  test("what comes before anybody listens is delivered after, the end included", async () => {
    const { client, stream } = await open();
    client.end("early");
    await settle();
    const recorder = new Recorder();
    recorder.call(() => stream.listen(recorder));
    await until(() => recorder.events.length === 2);
    expect(recorder.events).toEqual(["data early", "end"]);
  });

  test("one listener hands over to another amid a call", async () => {
    const { client, stream } = await open();
    const second = new Recorder();
    const first = new Recorder();
    first.onData = () => stream.listen(second);
    stream.listen(first);
    client.write("a");
    await settle();
    client.end("b");
    await until(() => second.events.includes("end"));
    stream.end();
    await until(() => second.events.includes("close"));
    expect(second.events).toEqual(["data b", "end", "close"]);
    expect(first.events).toEqual([]);
  });

  test("a paused stream is silent, and loses nothing", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    stream.pause();
    client.write("one");
    await settle();
    client.end("two");
    await settle();
    expect(recorder.events).toEqual([]);
    recorder.call(() => stream.resume());
    await until(() => recorder.events.includes("end"));
    expect(recorder.text).toBe("onetwo");
    expect(recorder.events.at(-1)).toBe("end");
  });

  test("a client that sends on meets a paused stream's full buffers", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    stream.pause();
    const size = 40_000_000;
    client.write(new Uint8Array(size).fill(97));
    await settle(200);
    expect(client.writableLength).toBeGreaterThan(0);
    expect(recorder.events).toEqual([]);
    stream.resume();
    await until(() => recorder.text.length === size);
  });

  test("a write that is not taken at once is taken in order, and then the next may come", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    const expected = pattern(30_000_000);
    const size = 3_000_000;
    let sent = 0;
    let refusals = 0;
    let isWaiting = false;
    const send = () => {
      isWaiting = false;
      while (sent < expected.length && !isWaiting) {
        // A view with an offset of its own, since what is left of it is written by offset too.
        recorder.call(() => isWaiting = !stream.write(expected.subarray(sent, sent + size)));
        sent += size;
        if (isWaiting) refusals++;
      }
      if (sent === expected.length && !isWaiting) stream.end();
    };
    recorder.onDrain = send;
    send();
    const received = new Uint8Array(expected.length);
    let at = 0;
    client.on("data", (bytes: Uint8Array) => {
      received.set(bytes, at);
      at += bytes.length;
      client.pause();
      setTimeout(() => client.resume(), 1);
    });
    let isEnded = false;
    client.on("end", () => isEnded = true);
    await until(() => isEnded, 20_000);
    expect(refusals).toBeGreaterThan(0);
    expect(Buffer.compare(received, expected)).toBe(0);
  }, 30_000);

  test("each side ends for itself, and the stream closes once both have", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    let isEnded = false;
    client.on("end", () => isEnded = true);
    client.resume();
    recorder.call(() => stream.end());
    await until(() => isEnded);
    client.write("still here");
    await until(() => recorder.text === "still here");
    expect(stream.write(Uint8Array.of(1))).toBe(true);
    client.end();
    await until(() => recorder.events.includes("close"));
    expect(recorder.events.filter((event) => event !== "end")).toEqual(["data still here", "close"]);
  });

  test("after the client's end the answer is still sent", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    let received = 0;
    client.on("data", (bytes: Uint8Array) => received += bytes.length);
    client.end("request");
    await until(() => recorder.events.includes("end"));
    const size = 20_000_000;
    if (stream.write(new Uint8Array(size))) stream.end();
    else recorder.onDrain = () => stream.end();
    await until(() => recorder.events.includes("close"), 10_000);
    expect(received).toBe(size);
  });

  test("a destroyed stream closes once, outside of the call, and nothing of it does harm after", async () => {
    const { client, stream } = await open();
    const recorder = listen(stream);
    let isClosed = false;
    client.on("close", () => isClosed = true);
    client.resume();
    recorder.call(() => {
      stream.destroy();
      stream.destroy();
    });
    await until(() => recorder.events.includes("close"));
    recorder.call(() => {
      stream.pause();
      stream.resume();
      stream.end();
      stream.destroy();
      expect(stream.write(Uint8Array.of(1))).toBe(true);
    });
    client.end();
    await until(() => isClosed);
    expect(recorder.events).toEqual(["close"]);
  });

  test("a stream destroyed amid its data is told of nothing but its close", async () => {
    const { client, stream } = await open();
    client.write("early");
    await settle();
    const recorder = new Recorder();
    const onData = recorder.onData.bind(recorder);
    recorder.onData = (bytes) => {
      onData(bytes);
      stream.destroy();
    };
    client.end("late");
    stream.listen(recorder);
    await until(() => recorder.events.includes("close"));
    await settle();
    expect(recorder.events.length).toBe(2);
    expect(recorder.events[1]).toBe("close");
  });

  test("a client that resets is an error, also to a stream that is paused or writing", async () => {
    for (const isPaused of [false, true]) {
      const { client, stream } = await open();
      const recorder = listen(stream);
      if (isPaused) stream.pause();
      stream.write(new Uint8Array(50_000_000));
      await settle();
      client.resetAndDestroy();
      await until(() => recorder.events.length > 0);
      await settle();
      expect(recorder.events).toEqual(["broken"]);
      expect((recorder.error as NodeJS.ErrnoException).code).toBe("ECONNRESET");
      expect(stream.write(Uint8Array.of(1))).toBe(true);
    }
  });

  test("a stream that waits for its client costs no processor time, however the client has left it", async () => {
    const unread = await open();
    const unreadRecorder = listen(unread.stream);
    unread.stream.pause();
    unread.client.end("unread");
    const ended = await open();
    listen(ended.stream);
    ended.stream.pause();
    ended.client.write("unread");
    ended.stream.end();
    ended.client.end();
    const full = await open();
    listen(full.stream);
    full.client.pause();
    full.stream.write(new Uint8Array(50_000_000));
    await settle(100);
    const before = process.cpuUsage();
    await settle(500);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(250);
    expect(unreadRecorder.events).toEqual([]);
  });
});

describe.each(NETWORKS)("listening with %s", (_name, network) => {
  test("its address is the one that the system chose", async () => {
    const { server, stream } = await accept(network);
    expect(server.address).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    expect(stream.remoteAddress).not.toBe(server.address);
  });

  test("a client that is gone before anybody listens is a close", async () => {
    const pair = await accept(network);
    pair.client.write("x");
    await settle();
    pair.client.resetAndDestroy();
    await until(() => pair.closedCount === 1);
    const recorder = new Recorder();
    recorder.call(() => pair.stream.listen(recorder));
    await until(() => recorder.events.length > 0);
    await settle();
    expect(recorder.events.at(-1)).toMatch(/^(close|broken)$/);
    expect(pair.closedCount).toBe(1);
  });

  test("a closed server takes no more, and what it took goes on", async () => {
    const { client, stream, server } = await accept(network);
    const recorder = listen(stream);
    server.close();
    const late = connect(Number(server.address.split(":")[1]), "127.0.0.1");
    const refused = await new Promise<string>((resolve) =>
      late.on("error", (error: NodeJS.ErrnoException) => resolve(error.code!))
    );
    expect(refused).toBe("ECONNREFUSED");
    client.write("on");
    await until(() => recorder.text === "on");
  });

  test("a Unix socket has no addresses, and goes with its server", async () => {
    const directory = mkdtempSync(join(tmpdir(), "keelson-"));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "x.sock");
    const { client, stream, server } = await accept(network, { path });
    const recorder = listen(stream);
    expect([server.address, stream.remoteAddress]).toEqual([path, "@"]);
    client.write("x");
    await until(() => recorder.text === "x");
    server.close();
    expect(existsSync(path)).toBe(false);
  });

  test("an address that cannot be listened on is an error with the system's code", async () => {
    const { server } = await accept(network);
    const port = Number(server.address.split(":")[1]);
    const codeOf = (at: ListenAddress) =>
      network.listen(at, { onStream: () => {}, onStreamClosed: () => {} }).then(
        () => "listens",
        (error: NodeJS.ErrnoException) => error.code,
      );
    expect(await codeOf({ host: "127.0.0.1", port })).toBe("EADDRINUSE");
    expect(await codeOf({ host: "203.0.113.7", port: 0 })).toBe("EADDRNOTAVAIL");
    expect(await codeOf({ host: "no.such.host.invalid", port: 0 })).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
    expect(await codeOf({ path: "/nowhere/x.sock" })).toMatch(/^(ENOENT|EACCES)$/);
  });

  test("a listener's fault ends the process", () => {
    const name = network === bunNetwork ? "bunNetwork" : "nodeNetwork";
    const script = `
      import { connect } from "node:net";
      import { ${name} as network } from "${join(import.meta.dir, "../../../src/io/system/mod.ts")}";
      const server = await network.listen({ host: "127.0.0.1", port: 0 }, {
        onStream: (stream) => stream.listen({ onData() { throw new Error("a fault of ours"); } }),
        onStreamClosed() {},
      });
      connect(Number(server.address.split(":")[1]), "127.0.0.1").write("x");
      setTimeout(() => process.exit(0), 3000);
    `;
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
    expect(stderr.toString()).toContain("a fault of ours");
    expect(exitCode).toBe(1);
  });
});

describe.each(NETWORKS)("connecting with %s", (_name, network) => {
  test("what the server says before anybody listens is delivered after", async () => {
    const { server, sockets } = await nodeServer();
    server.on("connection", (socket) => socket.end("welcome"));
    const stream = await network.connect({ host: "127.0.0.1", port: portOf(server) }, 1000);
    cleanups.push(() => stream.destroy());
    await settle();
    const recorder = listen(stream);
    await until(() => recorder.events.includes("end"));
    expect(recorder.text).toBe("welcome");
    expect(stream.remoteAddress).toBe(`127.0.0.1:${portOf(server)}`);
    expect(sockets.length).toBe(1);
  });

  test("a server that is gone before anybody listens is a close", async () => {
    const { client, stream } = await dial(network);
    client.resetAndDestroy();
    await settle();
    const recorder = new Recorder();
    recorder.call(() => stream.listen(recorder));
    await until(() => recorder.events.length > 0);
    await settle();
    expect(recorder.events).toEqual([expect.stringMatching(/^(close|broken)$/)]);
  });

  test("IPv6, names and Unix sockets are addresses too", async () => {
    const directory = mkdtempSync(join(tmpdir(), "keelson-"));
    cleanups.push(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "x.sock");
    const v6 = await nodeServer({ host: "::1", port: 0 });
    const v4 = await nodeServer();
    const unix = await nodeServer({ path });
    const cases: [ListenAddress, { sockets: Socket[] }, string][] = [
      [{ host: "::1", port: portOf(v6.server) }, v6, `[::1]:${portOf(v6.server)}`],
      [{ host: "localhost", port: portOf(v4.server) }, v4, `127.0.0.1:${portOf(v4.server)}`],
      [{ path }, unix, "@"],
    ];
    for (const [to, { sockets }, remoteAddress] of cases) {
      const stream = await network.connect(to, 1000);
      cleanups.push(() => stream.destroy());
      const recorder = listen(stream);
      await until(() => sockets.length === 1);
      sockets[0].write("x");
      await until(() => recorder.text === "x");
      expect(stream.remoteAddress).toBe(remoteAddress);
    }
  });

  test("nothing waits for more to be sent: TCP_NODELAY", async () => {
    const { client, stream } = await dial(network);
    const recorder = listen(stream);
    client.on("data", (bytes: Uint8Array) => {
      // Answers to the second of two small writes only: without the option it would wait for the other end to acknowledge
      // the first one, which takes it 40 ms.
      if (bytes.includes(2)) client.write("x");
    });
    const startMs = performance.now();
    for (let i = 1; i <= 40; i++) {
      stream.write(Uint8Array.of(1));
      await settle(2);
      stream.write(Uint8Array.of(2));
      await until(() => recorder.text.length === i);
    }
    expect(performance.now() - startMs).toBeLessThan(800);
  });

  test.if(process.platform === "linux")("the system looks after idle connections: SO_KEEPALIVE", async () => {
    const { server } = await nodeServer();
    const stream = await network.connect({ host: "127.0.0.1", port: portOf(server) }, 1000);
    cleanups.push(() => stream.destroy());
    await settle();
    // Local port, remote port, state, queues, and which timer runs: 2 is that of idle connections.
    const remote = portOf(server).toString(16).toUpperCase().padStart(4, "0");
    const line = new RegExp(`:[0-9A-F]{4} [0-9A-F]{8}:${remote} 01 [0-9A-F:]+ (..):`);
    expect(line.exec(readFileSync("/proc/net/tcp", "utf8"))?.[1]).toBe("02");
  });

  test("what cannot be reached is an error with the system's code", async () => {
    const { server } = await nodeServer();
    const port = portOf(server);
    server.close();
    const codeOf = (to: ListenAddress, timeoutMs = 1000) =>
      network.connect(to, timeoutMs).then(() => "connected", (error: NodeJS.ErrnoException) => error.code);
    expect(await codeOf({ host: "127.0.0.1", port })).toBe("ECONNREFUSED");
    expect(await codeOf({ host: "localhost", port })).toBe("ECONNREFUSED");
    expect(await codeOf({ path: "/nowhere/x.sock" })).toBe("ENOENT");
    expect(await codeOf({ host: "no.such.host.invalid", port }, 10_000)).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
  });

  test("who does not answer in time is given up, and dropped if it answers later", async () => {
    // A server that accepts nothing until it is told, and whose queue is full.
    const script = `
      const { createServer } = require("node:net");
      let open = 0;
      const server = createServer((socket) => {
        open++;
        socket.resume().on("error", () => {}).on("close", () => open--);
      });
      server.listen({ host: "127.0.0.1", port: 0, backlog: 1 }, () => {
        console.log(server.address().port);
        setTimeout(() => {
          require("node:fs").readSync(0, new Uint8Array(1));
          setTimeout(() => console.log(open), 1500);
        }, 10);
      });
    `;
    const process_ = Bun.spawn([process.execPath, "-e", script], { stdin: "pipe", stdout: "pipe" });
    cleanups.push(() => process_.kill());
    const lines = process_.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const port = Number((await lines.read()).value);
    await settle();
    const queued: Socket[] = [];
    for (let isFull = false; !isFull;) {
      const socket = connect(port, "127.0.0.1");
      queued.push(socket);
      isFull = await Promise.race([
        new Promise<boolean>((resolve) => socket.on("connect", () => resolve(false))),
        settle(100).then(() => true),
      ]);
    }
    queued.pop()!.destroy();
    cleanups.push(() => queued.forEach((socket) => socket.destroy()));

    const startMs = performance.now();
    const error = await network.connect({ host: "127.0.0.1", port }, 100).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error,
    );
    expect(error?.code).toBe("ETIMEDOUT");
    expect(performance.now() - startMs).toBeLessThan(1000);
    process_.stdin.write("x");
    await process_.stdin.flush();
    expect(Number((await lines.read()).value)).toBe(queued.length);
  });

  test("names stand for addresses, IPv4 first, and addresses for themselves", async () => {
    expect((await network.resolve("localhost"))[0]).toBe("127.0.0.1");
    expect(await network.resolve("192.0.2.7")).toEqual(["192.0.2.7"]);
    expect(await network.resolve("2001:db8::1")).toEqual(["2001:db8::1"]);
    const failure = await network.resolve("no.such.host.invalid").then(
      () => "",
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(failure).toMatch(/^(ENOTFOUND|EAI_AGAIN)$/);
  });
});

test.each([
  ["Bun", [process.execPath]],
  ["Deno", [join(import.meta.dir, "../../../node_modules/.bin/deno"), "run", "-A", "--no-lock"]],
])("connecting does on %s what the interface says", (_name, command) => {
  const directory = mkdtempSync(join(tmpdir(), "keelson-"));
  cleanups.push(() => rmSync(directory, { recursive: true }));
  const { stdout } = Bun.spawnSync([...command, join(import.meta.dir, "net_exercise.ts"), directory]);
  expect(stdout.toString()).toBe(
    [
      "IPv4: one, closed",
      "a name: two, closed",
      "IPv6: three, closed",
      "Unix: four, closed",
      "refused: ECONNREFUSED",
      "no socket: ENOENT",
      "addresses: 127.0.0.1 127.0.0.1",
      "",
    ].join("\n"),
  );
}, 20_000);
