/**
 * The engine alone, without sockets: unary calls as grpc-go frames them, ten to a read, against a handler that answers a
 * constant: `bun test/bench/rpc.bench.ts [calls]`. Prints microseconds per call, without and with a deadline on every
 * call (grpc-go's encoder puts each deadline into the header table, so no two header blocks are equal).
 */
import { concatBytes, utf8 } from "../../src/base/bytes.ts";
import type { Clock } from "../../src/io/clock.ts";
import { systemClock } from "../../src/io/system/mod.ts";
import { GrpcRouter } from "../../src/rpc/grpc/mod.ts";
import { CLIENT_PREFACE, Http2Server } from "../../src/rpc/http2/mod.ts";
import { frame, MemoryStream, uint32 } from "../rpc/peer.ts";

const calls = Number(process.argv[2] ?? 500_000);
const BATCH = 10;
const PATH = "/etcdserverpb.KV/Put";
const reply = new Uint8Array(20);
/** Stands still, lest the engine defers input to a turn of the loop that this loop never yields. */
const clock: Clock = { ...systemClock, monotonicMs: () => 0 };

/** A literal field that goes into the header table; a name already there is given by its index. */
function indexed(name: string | number, value: string): Uint8Array {
  const head = typeof name === "number" ? [0x40 | name] : [0x40, name.length, ...utf8(name)];
  return Uint8Array.from([...head, value.length, ...utf8(value)]);
}

const FIELDS = [
  indexed(4, PATH),
  indexed(1, "127.0.0.1:2379"),
  indexed(31, "application/grpc"),
  indexed("user-agent", "grpc-go/1.82.1"),
  indexed("te", "trailers"),
];
/** The five fields above by index, when `newer` entries were inserted after them. */
const repeated = (newer: number) => FIELDS.map((_, i) => 0x80 | 62 + newer + FIELDS.length - 1 - i);
const METHOD_AND_SCHEME = [0x83, 0x86];
const message = concatBytes([Uint8Array.of(0, 0, 0, 1, 20), new Uint8Array(276)]);

function measure(name: string, blockOf: (call: number) => Uint8Array): void {
  const router = new GrpcRouter([{ kind: "unary", path: PATH, handle: (call) => call.reply(reply) }], {
    clock,
  });
  const server = new Http2Server({ application: router, clock });
  const stream = new MemoryStream();
  let written = 0;
  stream.write = (bytes) => (written += bytes.length, true);
  server.serve(stream);
  stream.listener!.onData(concatBytes([CLIENT_PREFACE, frame(4, 0, 0), frame(8, 0, 0, uint32(1 << 30))]));

  let busyMs = 0;
  for (let call = 0; call < calls; call += BATCH) {
    const parts: Uint8Array[] = [];
    for (let i = call; i < call + BATCH; i++) {
      parts.push(frame(1, 4, i * 2 + 1, blockOf(i)), frame(0, 1, i * 2 + 1, message));
    }
    // What a client grants as it reads.
    if (call % 10_000 === 0) parts.push(frame(8, 0, 0, uint32(250_000)));
    const bytes = concatBytes(parts);
    const startMs = performance.now();
    stream.listener!.onData(bytes);
    busyMs += performance.now() - startMs;
  }
  if (written < calls * reply.length) throw new Error(`${name}: not every call was answered`);
  console.log(`${name}: ${(busyMs / calls * 1000).toFixed(2)} us per call, ${(written / calls).toFixed(1)} bytes sent`);
  server.destroy();
  stream.listener!.onClose();
}

const first = concatBytes([Uint8Array.from(METHOD_AND_SCHEME), ...FIELDS]);
const repeat = Uint8Array.from([...METHOD_AND_SCHEME, ...repeated(0)]);
measure("no deadline", (call) => call === 0 ? first : repeat);

/** Entries of the five fields are inserted anew before the deadlines push them out of the table. */
const DEADLINES_MAX = 60;
measure("a deadline on every call", (call) => {
  const round = call % DEADLINES_MAX;
  const deadline = `${4_999_000 + call % 1000}u`;
  if (round === 0) return concatBytes([first, indexed("grpc-timeout", deadline)]);
  const block = [...METHOD_AND_SCHEME, ...repeated(round)];
  return concatBytes([Uint8Array.from(block), indexed(62, deadline)]);
});
