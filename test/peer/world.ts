/** Transports on simulated machines, and what their members would hear. */

import { EMPTY_BYTES, utf8Text } from "../../src/base/bytes.ts";
import type { ByteStream, HttpExchange } from "../../src/io/net.ts";
import { HttpServer } from "../../src/peer/http/mod.ts";
import {
  type Answer,
  PeerTransport,
  type PeerTransportParts,
  type Question,
  type SnapshotView,
  type TransportHandler,
} from "../../src/peer/mod.ts";
import { type Entry, EntryType, type Message, MessageType, newMessage } from "../../src/raft/mod.ts";
import { RecordingLog } from "../harness/recording_log.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";
import { type SimulatedHost, SimulatedNetwork } from "../harness/simulated_network.ts";
import { Random } from "../simulation/world/random.ts";

export const CLUSTER_ID = 0xc1n;
const PEER_PORT = 2380;

/** Remembers what it is told; a test may decide what it says. */
export class RecordingHandler implements TransportHandler {
  readonly messages: Message[] = [];
  readonly snapshots: { readonly message: Message; readonly size: number; readonly hash: number }[] = [];
  readonly snapshotFailures: string[] = [];
  readonly questions: Question[] = [];
  readonly unreachable: bigint[] = [];
  readonly gone: bigint[] = [];
  readonly removed = new Set<bigint>();
  removedReports = 0;
  /** What becomes of each piece of a snapshot. */
  takePiece: (piece: Uint8Array) => Promise<void> = () => Promise.resolve();
  answerTo: (question: Question) => Promise<Answer> = ({ path }) =>
    Promise.resolve({ status: 200, contentType: "text/plain", body: new TextEncoder().encode(`this is ${path}`) });

  receive(message: Message): void {
    this.messages.push(message);
  }

  async receiveSnapshot(message: Message, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    let size = 0;
    let hash = 0;
    try {
      for await (const piece of pieces) {
        await this.takePiece(piece);
        size += piece.length;
        for (const byte of piece) hash = (hash * 31 + byte) | 0;
      }
    } catch (error) {
      this.snapshotFailures.push((error as Error).message);
      throw error;
    }
    this.snapshots.push({ message, size, hash });
  }

  answer(question: Question): Promise<Answer> {
    this.questions.push(question);
    return this.answerTo(question);
  }

  reportUnreachable(id: bigint): void {
    this.unreachable.push(id);
  }

  reportGone(id: bigint): void {
    this.gone.push(id);
  }

  isRemoved(id: bigint): boolean {
    return this.removed.has(id);
  }

  reportRemoved(): void {
    this.removedReports++;
  }
}

/** One member's machine. */
export class Machine {
  readonly host: SimulatedHost;
  readonly id: bigint;
  readonly url: string;
  readonly log = new RecordingLog();
  readonly handler = new RecordingHandler();
  readonly transport: PeerTransport;

  constructor(world: World, name: string, id: bigint, parts: Partial<PeerTransportParts> = {}) {
    this.id = id;
    this.url = `http://${name}:${PEER_PORT}`;
    this.host = world.host(name);
    this.transport = new PeerTransport({
      network: this.host,
      clock: world.clock,
      log: this.log,
      peerUrls: [this.url],
      version: "3.7.1",
      electionTimeoutMs: 1000,
      readTimeoutMs: 5000,
      writeTimeoutMs: 5000,
      ...parts,
    });
    void this.host.listen({ host: name, port: PEER_PORT }, {
      onStream: (stream) => this.transport.serve(stream),
      onStreamClosed() {},
    });
  }

  start(clusterId = CLUSTER_ID): this {
    this.transport.start(this.id, clusterId, this.handler);
    return this;
  }

  know(...others: readonly { readonly id: bigint; readonly url: string }[]): this {
    for (const { id, url } of others) this.transport.addPeer(id, [url]);
    return this;
  }

  /** Type and index of each message that came. */
  get received(): string[] {
    return this.handler.messages.map(({ type, index }) => `${type}:${index}`);
  }
}

export class World {
  readonly clock = new SimulatedClock();
  /** How often what happened on the network. */
  readonly counts = new Map<string, number>();
  readonly network: SimulatedNetwork;

  constructor(seed = 1) {
    this.network = new SimulatedNetwork({
      scheduler: this.clock,
      random: new Random(seed),
      count: (what) => this.counts.set(what, (this.counts.get(what) ?? 0) + 1),
    });
  }

  host(name: string): SimulatedHost {
    return this.network.host(name, {
      run: (delayMs, callback) => this.clock.after(delayMs, callback),
      runNow: (callback) => callback(),
    });
  }

  /** Two members that know one another and have opened their streams. */
  async pair(): Promise<{ a: Machine; b: Machine }> {
    const a = new Machine(this, "a", 0xan);
    const b = new Machine(this, "b", 0xbn);
    a.start().know(b);
    b.start().know(a);
    await this.clock.advance(500);
    return { a, b };
  }

  /** Somebody who answers at the peer port of a machine as a test says. */
  impostor(
    name: string,
    handle: (exchange: HttpExchange) => void,
  ): { readonly url: string; readonly host: SimulatedHost } {
    const host = this.host(name);
    const server = new HttpServer({ clock: this.clock, handler: handle });
    void host.listen({ host: name, port: PEER_PORT }, {
      onStream: (stream) => server.serve(stream),
      onStreamClosed() {},
    });
    return { url: `http://${name}:${PEER_PORT}`, host };
  }

  /** Sends bytes to a machine's peer port, and returns what comes back within a second. */
  async exchange(host: SimulatedHost, to: Machine, request: string | Uint8Array): Promise<string> {
    const stream = await this.connect(host, to);
    const chunks: string[] = [];
    stream.listen({
      onData: (bytes) => void chunks.push(utf8Text(bytes)),
      onEnd() {},
      onDrain() {},
      onClose() {},
    });
    stream.write(typeof request === "string" ? new TextEncoder().encode(request) : request);
    await this.clock.advance(1000);
    stream.destroy();
    return chunks.join("");
  }

  connect(host: SimulatedHost, to: Machine): Promise<ByteStream> {
    return this.wait(host.connect({ host: to.host.name, port: PEER_PORT }, 1000));
  }

  /** Lets time pass until a promise has settled. */
  async wait<T>(promise: Promise<T>, forMs = 600_000): Promise<T> {
    let isSettled = false;
    const mark = (): void => void (isSettled = true);
    promise.then(mark, mark);
    await this.until(() => isSettled, forMs);
    return await promise;
  }

  async until(isSo: () => boolean, forMs = 600_000): Promise<void> {
    for (const endMs = this.clock.nowMs + forMs; !isSo();) {
      if (this.clock.nowMs >= endMs) throw new Error(`it has not come to that in ${forMs} ms`);
      await this.clock.advance(10);
    }
  }
}

export function entry(index: number, data: string | Uint8Array = `entry ${index}`): Entry {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
  return { term: 1, index, type: EntryType.NORMAL, data: bytes };
}

export function message(type: MessageType, from: bigint, to: bigint, fields: Partial<Message> = {}): Message {
  return { ...newMessage(type, to), from, term: 1, ...fields };
}

/** An append of one entry at `index`. */
export function append(from: bigint, to: bigint, index: number, data?: string | Uint8Array): Message {
  const fields = { logTerm: 1, index: index - 1, entries: [entry(index, data)] };
  return message(MessageType.APPEND, from, to, fields);
}

export function snapshotMessage(from: bigint, to: bigint): Message {
  const confState = { voters: [from, to], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
  return message(MessageType.SNAPSHOT, from, to, {
    snapshot: { index: 7, term: 1, confState, data: EMPTY_BYTES },
  });
}

/** A database of so many bytes, and their hash as RecordingHandler makes it. */
export function databaseOf(size: number): { readonly view: SnapshotView; readonly hash: number } {
  const bytes = new Uint8Array(size).map((_, i) => (i * 7) ^ (i >> 8));
  let hash = 0;
  for (const byte of bytes) hash = (hash * 31 + byte) | 0;
  return { view: viewOf(bytes), hash };
}

function viewOf(bytes: Uint8Array): SnapshotView {
  return {
    size: bytes.length,
    read(target, position) {
      const part = bytes.subarray(position, position + target.length);
      target.set(part);
      return Promise.resolve(part.length);
    },
    close: () => Promise.resolve(),
  };
}

/** A request's head as a member of the cluster sends it; `fields` replace its own, undefined leaves one out. */
export function requestHead(
  line: string,
  from: bigint,
  fields: Readonly<Record<string, string | undefined>> = {},
): string {
  const all: Record<string, string | undefined> = {
    "Host": "x",
    "X-Server-From": from.toString(16),
    "X-Server-Version": "3.7.1",
    "X-Min-Cluster-Version": "3.0.0",
    "X-Etcd-Cluster-ID": CLUSTER_ID.toString(16),
    ...fields,
  };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined).map(([name, value]) =>
    `${name}: ${value}`
  );
  return `${[`${line} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`;
}
