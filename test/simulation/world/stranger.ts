/** A machine in the same network that is no member: what it sends to peer ports is wrong, and nobody may fall for it. */

import { WireWriter } from "../../../src/base/varint.ts";
import { ETCD_VERSION } from "../../../src/base/version.ts";
import type { ByteStream, HttpField } from "../../../src/io/net.ts";
import { type Draft, EMPTY_CONF_STATE, MessageType, newMessage } from "../../../src/raft/mod.ts";
import { writeMessage, writeSnapshotHead } from "../../../src/peer/codec/mod.ts";
import { type HttpBody, HttpClient, HttpError, parsePeerUrl } from "../../../src/peer/http/mod.ts";
import { idText } from "../../../src/membership/mod.ts";
import { identityFields } from "../../../src/peer/identity.ts";
import type { SimulatedHost } from "../../harness/simulated_network.ts";
import { MachineTime, ProcessTime } from "./clock.ts";
import { type Machine, PEER_PORTS, peerUrlOf, type Process } from "./machine.ts";
import type { Random } from "./random.ts";
import type { World } from "./world.ts";

const NAME = "stranger";
/** Members have other ids: those are hashes. */
const ID = 0x5717a69e57n;
const PATIENCE_MS = 10_000;
const REPLY_SIZE_MAX = 4096;
/** A snapshot that does not end comes in such pieces. */
const PIECE_SIZE = 512;
const PIECE_INTERVAL_MS = 25;

/** What might move a member that believes that another one sent it. */
const FORGED_TYPES = [
  MessageType.VOTE_RESPONSE,
  MessageType.PRE_VOTE_RESPONSE,
  MessageType.APPEND_RESPONSE,
  MessageType.HEARTBEAT_RESPONSE,
  MessageType.TIMEOUT_NOW,
];

const NONSENSE = [
  "GET / HTTP/1.1\r\n",
  "GET /raft/stream/message/1 HTTP/1.1\r\nHost: m1\r\n\r\n",
  "POST /raft HTTP/1.1\r\nHost: m1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
  "POST /raft HTTP/1.1\r\nHost: m1\r\nContent-Length: -1\r\n\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
];

export class Stranger {
  readonly #world: World;
  readonly #random: Random;
  readonly #time: ProcessTime;
  readonly #host: SimulatedHost;
  readonly #client: HttpClient;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#time = new ProcessTime(world.scheduler, new MachineTime(world.scheduler, 1, 0), 0, () => {
      world.entered = undefined;
    });
    this.#host = world.network.host(NAME, this.#time);
    this.#client = new HttpClient({ network: this.#host, clock: this.#time });
  }

  /** Bytes that mean nothing; ends what it began. */
  sendGarbage(machine: Machine): () => void {
    const random = this.#random;
    const open: ByteStream[] = [];
    for (let left = random.within(1, 4); left > 0; left--) {
      void this.#host.connect({ host: machine.name, port: PEER_PORTS[0] }, PATIENCE_MS).then((stream) => {
        open.push(stream);
        stream.listen({ onData() {}, onEnd() {}, onDrain() {}, onClose() {} });
        stream.write(this.#garbage());
        if (random.chance(0.3)) stream.end();
      }, () => {});
    }
    return () => {
      for (const stream of open) stream.destroy();
    };
  }

  /** As a member of another cluster would that has the same addresses. */
  sendFromOtherCluster(process: Process): void {
    const { member } = process;
    const from = this.#anotherMember(process);
    if (from === undefined) return;
    const message = this.#newMessage(process);
    message.type = this.#random.pick([MessageType.VOTE, MessageType.HEARTBEAT, MessageType.APPEND]);
    message.from = from;
    message.term += 5;
    void this.#post(process, member!.clusterId + 1n, message.from, "/raft", bodyOf(message), "of another cluster");
    const fields = this.#fields(member!.clusterId + 1n, message.from);
    const path = `/raft/stream/message/${idText(from)}`;
    void this.#ask(process, "GET", path, fields, undefined, "of another cluster");
  }

  /** In the name of a member that did not send it. */
  sendForged(process: Process): void {
    const { member } = process;
    const from = this.#anotherMember(process);
    if (from === undefined) return;
    for (const type of FORGED_TYPES) {
      const message = this.#newMessage(process);
      message.type = type;
      message.from = from;
      // Of a term that it might campaign in, or be the leader of.
      if (type === MessageType.VOTE_RESPONSE || type === MessageType.PRE_VOTE_RESPONSE) {
        message.term += this.#random.below(2);
      }
      void this.#post(process, member!.clusterId, ID, "/raft", bodyOf(message), "in another's name");
    }
  }

  /** A snapshot that goes on and on, until it is broken off. */
  sendEndlessSnapshot(process: Process): () => void {
    const { member } = process;
    const message = this.#newMessage(process);
    message.type = MessageType.SNAPSHOT;
    message.from = ID;
    const index = member!.raftStatus.commitIndex + 1000;
    const confState = { ...EMPTY_CONF_STATE, voters: [member!.id] };
    message.snapshot = { index, term: message.term, confState, data: new Uint8Array(0) };
    const body = this.#endless(message);
    void this.#post(process, member!.clusterId, ID, "/raft/snapshot", body, "without an end");
    return () => body.end();
  }

  #newMessage({ member, observer }: Process): Draft {
    const message = newMessage(MessageType.HEARTBEAT, member!.id);
    message.term = member!.raftTerm;
    message.index = observer.raft?.log.lastIndex ?? 0;
    return message;
  }

  /** Undefined: it knows of none. */
  #anotherMember({ member }: Process): bigint | undefined {
    const others = member!.membership.list().filter(({ id }) => id !== member!.id);
    return others.length === 0 ? undefined : this.#random.pick(others).id;
  }

  async #post(process: Process, clusterId: bigint, from: bigint, path: string, body: HttpBody, what: string) {
    await this.#ask(process, "POST", path, this.#fields(clusterId, from), body, what);
  }

  /** Whatever is not refused was believed. */
  async #ask(
    { machine }: Process,
    method: "GET" | "POST",
    path: string,
    headers: readonly HttpField[],
    body: HttpBody | undefined,
    what: string,
  ): Promise<void> {
    const { coverage } = this.#world;
    const patience = { connectMs: PATIENCE_MS, answerMs: PATIENCE_MS, idleMs: PATIENCE_MS, stallMs: PATIENCE_MS };
    const url = parsePeerUrl(peerUrlOf(machine.name))!;
    try {
      const { status } = await this.#client.collect(url, { method, path, headers, body, patience }, REPLY_SIZE_MAX);
      coverage.count(`a stranger's message ${what}: ${status}`);
      if (status < 400) this.#world.violation(`${machine.name} took a message ${what}, and answered ${status}`);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      coverage.count(`a stranger's message ${what}: lost`);
    }
  }

  #fields(clusterId: bigint, id: bigint): readonly HttpField[] {
    return identityFields({ id, clusterId, peerUrls: [peerUrlOf(NAME)], version: ETCD_VERSION });
  }

  #garbage(): Uint8Array {
    const random = this.#random;
    if (random.chance(0.5)) return new TextEncoder().encode(random.pick(NONSENSE));
    return random.fill(new Uint8Array(random.within(1, 3000)));
  }

  #endless(message: Draft): HttpBody & { end(): void } {
    const writer = new WireWriter();
    writeSnapshotHead(writer, message);
    const head = writer.finish();
    let isOver = false;
    return {
      size: 1 << 30,
      read: (target, position) => {
        if (position < head.length) {
          const part = head.subarray(position, position + target.length);
          target.set(part);
          return Promise.resolve(part.length);
        }
        const { promise, resolve, reject } = Promise.withResolvers<number>();
        this.#time.run(PIECE_INTERVAL_MS, () => {
          if (isOver) reject(new Error("it is broken off"));
          else resolve(this.#random.fill(target.subarray(0, PIECE_SIZE)).length);
        });
        return promise;
      },
      end: () => void (isOver = true),
    };
  }
}

function bodyOf(message: Draft): Uint8Array {
  const writer = new WireWriter();
  writeMessage(writer, message);
  return writer.finish();
}
