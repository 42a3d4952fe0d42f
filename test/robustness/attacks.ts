/** What hostile, broken and unlucky clients send. Each attack ends by itself, or closes what it opened. */
import { createConnection, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { concatBytes } from "../../src/base/bytes.ts";
import { KV, RangeRequestSchema } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { LeaseKeepAliveRequestSchema } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { CLIENT_PREFACE, ErrorCode, Flag, FrameType, Setting } from "../../src/rpc/http2/protocol.ts";
import { bytes, encode, pathOf } from "./client.ts";
import { Connection, frame, headerBlock, requestFields, setting, uint32 } from "./connection.ts";
import { check, type Random } from "./context.ts";
import { delay, within } from "./server.ts";

export interface Attack {
  readonly name: string;
  run(port: number, random: Random): Promise<void>;
}

const RESOURCE_EXHAUSTED = 8;
const RANGE_PATH = pathOf(KV.method.range);
const RANGE = encode(RangeRequestSchema, { key: bytes("any") });
const GRPC: [string, string][] = [["content-type", "application/grpc"], ["te", "trailers"]];
const REQUEST_BLOCK = headerBlock(requestFields(RANGE_PATH, GRPC));
const PREFACE = concatBytes([CLIENT_PREFACE, frame(FrameType.SETTINGS, 0, 0)]);
/** How long a server may take to end a connection that it must end. */
const END_MS_MAX = 10_000;

export const ATTACKS: Attack[] = [
  {
    name: "garbage",
    async run(port, random) {
      await together(60, async (i) => {
        const socket = await rawSocket(port);
        if (i % 2 === 1) socket.write(PREFACE);
        socket.write(random.bytes(20_000));
        await ended(socket);
      });
    },
  },
  {
    name: "random frames",
    async run(port, random) {
      await together(200, async () => {
        const connection = await Connection.open(port);
        const frames: Uint8Array[] = [];
        for (let i = 0; i < 40; i++) {
          frames.push(frame(random.below(12), random.below(256), random.below(9), random.bytes(random.below(60))));
        }
        connection.send(...frames);
        await connection.flushed();
        await Promise.race([connection.closed, delay(100)]);
        connection.close();
      }, 20);
    },
  },
  {
    name: "requests with a byte changed",
    async run(port, random) {
      const message = concatBytes([Uint8Array.of(0), uint32(RANGE.length), RANGE]);
      const whole = concatBytes([
        PREFACE,
        frame(FrameType.HEADERS, Flag.END_HEADERS, 1, REQUEST_BLOCK),
        frame(FrameType.DATA, Flag.END_STREAM, 1, message),
      ]);
      await together(300, async () => {
        const changed = whole.slice();
        changed[CLIENT_PREFACE.length + random.below(changed.length - CLIENT_PREFACE.length)] = random.below(256);
        const connection = await Connection.open(port, { greeting: changed });
        await Promise.race([connection.closed, delay(50)]);
        connection.close();
      }, 30);
    },
  },
  flood(
    "CONTINUATION without end",
    "ENHANCE_YOUR_CALM",
    (i) =>
      i === 0
        ? frame(FrameType.HEADERS, 0, 1, REQUEST_BLOCK)
        : frame(FrameType.CONTINUATION, 0, 1, i % 2 === 0 ? [] : REQUEST_BLOCK),
  ),
  flood("rapid resets", "ENHANCE_YOUR_CALM", (i) =>
    concatBytes([
      frame(FrameType.HEADERS, Flag.END_HEADERS, i * 2 + 1, REQUEST_BLOCK),
      frame(FrameType.RST_STREAM, 0, i * 2 + 1, uint32(ErrorCode.CANCEL)),
    ])),
  flood("PING", "ENHANCE_YOUR_CALM", () => frame(FrameType.PING, 0, 0, new Uint8Array(8))),
  flood(
    "SETTINGS",
    "ENHANCE_YOUR_CALM",
    (i) => frame(FrameType.SETTINGS, 0, 0, setting(Setting.HEADER_TABLE_SIZE, i % 4096)),
  ),
  flood("PRIORITY", "ENHANCE_YOUR_CALM", () => frame(FrameType.PRIORITY, 0, 7, [0, 0, 0, 1, 0])),
  flood("windows opened by one byte", "ENHANCE_YOUR_CALM", () => frame(FrameType.WINDOW_UPDATE, 0, 0, uint32(1))),
  flood(
    "empty DATA",
    "ENHANCE_YOUR_CALM",
    (i) => i === 0 ? frame(FrameType.HEADERS, Flag.END_HEADERS, 1, REQUEST_BLOCK) : frame(FrameType.DATA, 0, 1),
  ),
  flood("frames of unknown types", "ENHANCE_YOUR_CALM", (i) => frame(0x20 + i % 64, 0, 0, [1, 2, 3])),
  {
    name: "SETTINGS and PING from clients that do not read",
    async run(port) {
      const burst = concatBytes(
        Array.from(
          { length: 1000 },
          () => concatBytes([frame(FrameType.SETTINGS, 0, 0), frame(FrameType.PING, 0, 0, new Uint8Array(8))]),
        ),
      );
      await together(20, async () => {
        const connection = await Connection.open(port);
        connection.stopReading();
        for (let i = 0; i < 20; i++) connection.send(burst);
        await delay(500);
        connection.close();
      });
    },
  },
  {
    name: "HPACK bombs",
    async run(port) {
      // One field of 4000 bytes goes into the table, then each byte of the block refers to it.
      const field = concatBytes([
        Uint8Array.of(0x40, 1, 0x61, 127, ...varint(4000 - 127)),
        new Uint8Array(4000).fill(0x62),
      ]);
      const bomb = new Uint8Array(12_000).fill(0x80 | 62);
      await together(10, async () => {
        const connection = await Connection.open(port);
        connection.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, concatBytes([REQUEST_BLOCK, field])));
        for (let id = 3; id < 103; id += 2) {
          connection.send(frame(FrameType.HEADERS, Flag.END_HEADERS, id, concatBytes([REQUEST_BLOCK, bomb])));
        }
        await Promise.race([connection.closed, delay(300)]);
        connection.close();
      });
    },
  },
  {
    name: "broken header blocks",
    async run(port) {
      const blocks = [
        [0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        [0x3f, 0xff, 0xff, 0xff, 0xff, 0x0f],
        [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        [0x00, 0x84, 0xff, 0xff, 0xff, 0xff],
        [0x80],
        [0xbe],
      ];
      await together(blocks.length, async (i) => {
        const connection = await Connection.open(port);
        connection.send(frame(FrameType.HEADERS, Flag.END_HEADERS, 1, blocks[i]));
        await expectEnd(connection, "COMPRESSION_ERROR");
      });
    },
  },
  {
    name: "header lists of a megabyte",
    async run(port) {
      await together(20, async () => {
        const connection = await Connection.open(port);
        const block = headerBlock([...requestFields(RANGE_PATH, GRPC), ["x-large", "y".repeat(1 << 20)]]);
        connection.send(frame(FrameType.HEADERS, 0, 1, block.subarray(0, 16_384)));
        for (let at = 16_384; at < block.length; at += 16_384) {
          const isLast = at + 16_384 >= block.length;
          const part = block.subarray(at, at + 16_384);
          connection.send(frame(FrameType.CONTINUATION, isLast ? Flag.END_HEADERS : 0, 1, part));
        }
        await expectEnd(connection, "ENHANCE_YOUR_CALM");
      });
    },
  },
  {
    name: "messages announced as 4 GiB",
    async run(port) {
      await together(20, async () => {
        const connection = await Connection.open(port);
        const stream = connection.open(RANGE_PATH);
        stream.sendBytes(Uint8Array.of(0, 255, 255, 255, 255, 1, 2, 3), false);
        const { code } = await stream.done;
        check(code === RESOURCE_EXHAUSTED, `answered with code ${code}`);
        connection.close();
      });
    },
  },
  {
    name: "messages announced large, on thousands of streams that stall",
    async run(port) {
      const head = concatBytes([Uint8Array.of(0), uint32(2_000_000), Uint8Array.of(10)]);
      await together(5, async () => {
        const connection = await Connection.open(port);
        for (let i = 0; i < 1000; i++) connection.open(RANGE_PATH).sendBytes(head, false);
        await connection.flushed();
        await delay(300);
        connection.close();
      });
    },
  },
  {
    name: "calls that are opened by the ten thousand and never made",
    async run(port) {
      await together(4, async () => {
        const connection = await Connection.open(port);
        for (let i = 0; i < 100_000 && !connection.isClosed;) {
          const parts: Uint8Array[] = [];
          for (const end = i + 1000; i < end; i++) {
            parts.push(frame(FrameType.HEADERS, Flag.END_HEADERS, connection.takeId(), REQUEST_BLOCK));
          }
          connection.send(...parts);
          await connection.flushed();
        }
        await delay(500);
        connection.close();
      });
    },
  },
  {
    name: "requests of which the last byte never comes",
    async run(port) {
      const part = concatBytes([
        Uint8Array.of(0),
        uint32(1_500_000),
        Uint8Array.of(10, 220, 198, 91),
        new Uint8Array(1_400_000),
      ]);
      await together(8, async () => {
        const connection = await Connection.open(port);
        for (let i = 0; i < 100; i++) connection.open(RANGE_PATH).sendBytes(part, false);
        await Promise.race([connection.flushed(), delay(3000)]);
        await delay(500);
        connection.close();
      });
    },
  },
  {
    name: "gzip bombs",
    async run(port) {
      const bomb = gzipSync(new Uint8Array(200 << 20), { level: 9 });
      const message = concatBytes([Uint8Array.of(1), uint32(bomb.length), bomb]);
      await together(5, async () => {
        const connection = await Connection.open(port);
        const stream = connection.open(RANGE_PATH, [["grpc-encoding", "gzip"]]);
        stream.sendBytes(message, true);
        const { code, message: text } = await stream.done;
        check(code === RESOURCE_EXHAUSTED, `answered with code ${code}: ${text}`);
        connection.close();
      });
    },
  },
  {
    name: "JSON without end",
    async run(port) {
      const head =
        "POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
      const chunk = `10000\r\n${'{"key":'.repeat(9363).slice(0, 65_536)}\r\n`;
      await together(5, async () => {
        const socket = await rawSocket(port);
        socket.write(head);
        for (let i = 0; i < 400 && !socket.destroyed && !socket.writableEnded; i++) {
          socket.write(chunk);
          if (i % 16 === 0) await delay(1);
        }
        await Promise.race([ended(socket), delay(1000)]);
        socket.destroy();
      });
    },
  },
  {
    name: "HTTP/1.1 headers without end",
    async run(port) {
      await together(10, async () => {
        const socket = await rawSocket(port);
        socket.write("GET /version HTTP/1.1\r\n");
        for (let i = 0; i < 64 && !socket.destroyed; i++) socket.write(`x-${i}: ${"y".repeat(16_000)}\r\n`);
        await ended(socket);
      });
    },
  },
  {
    name: "half-closed and stalled streams",
    async run(port) {
      await together(10, async (i) => {
        const connection = await Connection.open(port, { streamWindow: 0, connectionWindow: 0 });
        for (let call = 0; call < 200; call++) {
          const stream = connection.open(RANGE_PATH);
          if (call % 2 === 0) stream.sendMessage(RANGE, call % 4 === 0);
        }
        await connection.flushed();
        if (i % 2 === 0) connection.halfClose();
        await delay(300);
        connection.close();
      });
    },
  },
  {
    name: "thousands of connections that vanish",
    async run(port, random) {
      await together(3000, async (i) => {
        const socket = await rawSocket(port);
        if (i % 3 !== 0) socket.write(PREFACE.subarray(0, random.below(PREFACE.length)));
        if (i % 5 === 0) {
          socket.write(concatBytes([PREFACE, frame(FrameType.HEADERS, Flag.END_HEADERS, 1, REQUEST_BLOCK)]));
        }
        if (i % 2 === 0) socket.resetAndDestroy();
        else socket.destroy();
      }, 100);
    },
  },
  {
    name: "slow loris",
    async run(port) {
      const request = bytes("GET /version HTTP/1.1\r\nHost: a\r\nX-Slow: yes");
      await together(500, async (i) => {
        const socket = await rawSocket(port);
        const source = i % 2 === 0 ? request : PREFACE;
        for (let at = 0; at < 10; at++) {
          if (!socket.destroyed) socket.write(source.subarray(at, at + 1));
          await delay(100);
        }
        socket.destroy();
      });
    },
  },
  {
    name: "renewals of leases by a client that does not read",
    async run(port) {
      const connection = await Connection.open(port);
      const stream = connection.open("/etcdserverpb.Lease/LeaseKeepAlive");
      let answers = 0;
      stream.onMessage = () => answers++;
      const message = encode(LeaseKeepAliveRequestSchema, { ID: 7n });
      const count = 200_000;
      connection.stopReading();
      for (let i = 0; i < count; i++) stream.sendMessage(message);
      await delay(1500);
      connection.resumeReading();
      stream.halfClose();
      const { code, message: text } = await within(20_000, stream.done);
      check(code === 0 && answers === count, `${answers} answers to ${count} renewals, code ${code}: ${text}`);
      connection.close();
    },
  },
];

/** One frame after the other on a connection whose client reads: it must be told to go, and why. */
function flood(name: string, reason: keyof typeof ErrorCode, make: (i: number) => Uint8Array): Attack {
  return {
    name: `flood: ${name}`,
    async run(port) {
      const connection = await Connection.open(port);
      for (let i = 0; i < 200_000 && !connection.isClosed && connection.farewell === "";) {
        const parts: Uint8Array[] = [];
        for (const end = i + 500; i < end; i++) parts.push(make(i));
        connection.send(...parts);
        if (connection.backlog > 1 << 20) await connection.flushed();
        else await delay(0);
      }
      await expectEnd(connection, reason);
    },
  };
}

async function expectEnd(connection: Connection, reason: keyof typeof ErrorCode): Promise<void> {
  const farewell = await within(END_MS_MAX, connection.closed);
  check(parseInt(farewell) === ErrorCode[reason], `the connection ended with "${farewell}", not ${reason}`);
}

/** Runs `count` times, at most `limit` at once. */
async function together(count: number, run: (i: number) => Promise<void>, limit = count): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: Math.min(limit, count) }, work));
}

async function rawSocket(port: number): Promise<Socket> {
  const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

async function ended(socket: Socket): Promise<void> {
  await within(END_MS_MAX, new Promise<void>((resolve) => socket.once("close", () => resolve())));
}

/** The rest of an HPACK integer whose prefix is full. */
function varint(value: number): number[] {
  const rest: number[] = [];
  for (; value >= 128; value >>>= 7) rest.push(value & 127 | 128);
  return [...rest, value];
}
