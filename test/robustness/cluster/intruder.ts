/** Somebody at a peer port who knows the ids of a cluster, and says of itself what it likes. */
import { createConnection, type Socket } from "node:net";
import { WireWriter } from "../../../src/base/varint.ts";
import { ETCD_VERSION } from "../../../src/base/version.ts";
import { writeFramedMessage, writeMessage } from "../../../src/peer/codec/mod.ts";
import { type Draft, type MessageType, newMessage } from "../../../src/raft/mod.ts";
import { check } from "../context.ts";
import { within } from "../server.ts";
import { type Cluster, statusOf } from "./cluster.ts";

const ANSWER_MS_MAX = 5000;

/** What the cluster says of itself. */
export interface Knowledge {
  readonly clusterId: bigint;
  readonly memberIds: readonly bigint[];
  readonly term: number;
  readonly index: number;
}

export async function learn(cluster: Cluster): Promise<Knowledge> {
  const states = await Promise.all(cluster.members.map((member) => statusOf(member)));
  for (const status of states) check(status !== undefined, "a member does not tell its status");
  return {
    clusterId: states[0]!.header!.clusterId,
    memberIds: states.map((status) => status!.header!.memberId),
    term: Math.max(...states.map((status) => Number(status!.raftTerm))),
    index: Math.max(...states.map((status) => Number(status!.raftIndex))),
  };
}

export class Intruder {
  readonly knowledge: Knowledge;
  /** The member that it talks to, and the one that it claims to be. */
  readonly target: number;
  readonly mask: number;
  readonly #url: URL;
  readonly #sockets: Socket[] = [];

  constructor(cluster: Cluster, knowledge: Knowledge, target: number, mask: number) {
    this.knowledge = knowledge;
    this.target = target;
    this.mask = mask;
    this.#url = new URL(cluster.network.listenPeerUrlOf(target));
  }

  get targetId(): bigint {
    return this.knowledge.memberIds[this.target]!;
  }

  get maskId(): bigint {
    return this.knowledge.memberIds[this.mask]!;
  }

  /** A message of the mask's for the target. */
  message(type: MessageType, fields: Partial<Draft>): Draft {
    return { ...newMessage(type, this.targetId), from: this.maskId, term: this.knowledge.term, ...fields };
  }

  get fields(): Record<string, string> {
    return {
      "X-Server-From": this.maskId.toString(16),
      "X-Server-Version": ETCD_VERSION,
      "X-Min-Cluster-Version": "3.0.0",
      "X-Etcd-Cluster-ID": this.knowledge.clusterId.toString(16),
      "X-Raft-To": this.targetId.toString(16),
    };
  }

  /** Returns the status; 0 if there is no answer. */
  async ask(method: string, path: string, body?: Uint8Array): Promise<number> {
    const request = fetch(new URL(path, this.#url), {
      method,
      headers: this.fields,
      body: body && new Uint8Array(body),
    });
    return await within(
      ANSWER_MS_MAX,
      request.then(async (answer) => {
        await answer.arrayBuffer();
        return answer.status;
      }),
    ).catch(() => 0);
  }

  async post(message: Draft): Promise<number> {
    return await this.ask("POST", "/raft", bytesOf((writer) => writeMessage(writer, message)));
  }

  /** A connection with these bytes on it, and nothing read from it. */
  async open(...bytes: Uint8Array[]): Promise<Socket> {
    const socket = createConnection({ host: this.#url.hostname, port: Number(this.#url.port) });
    this.#sockets.push(socket);
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
    socket.pause();
    for (const piece of bytes) socket.write(piece);
    return socket;
  }

  /** The head of a request with a body of chunks. */
  head(method: string, path: string): string {
    const fields = Object.entries(this.fields).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    return `${method} ${path} HTTP/1.1\r\nHost: ${this.#url.host}\r\n${fields}Transfer-Encoding: chunked\r\n\r\n`;
  }

  leave(): void {
    for (const socket of this.#sockets.splice(0)) socket.destroy();
  }
}

export function bytesOf(write: (writer: WireWriter) => void): Uint8Array {
  const writer = new WireWriter();
  write(writer);
  return writer.bytes.slice(0, writer.position);
}

export function snapshotHead(message: Draft): Uint8Array {
  return bytesOf((writer) => writeFramedMessage(writer, message));
}

export function chunk(data: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from("\r\n")]);
}

/** Sends until so many bytes were taken, the connection is gone, or nothing is taken for a while. Returns the bytes. */
export async function flood(socket: Socket, piece: Uint8Array, size: number): Promise<number> {
  let sent = 0;
  const closed = new Promise((resolve) => socket.once("close", resolve));
  while (sent < size && !socket.destroyed) {
    sent += piece.length;
    if (socket.write(piece)) continue;
    const drained = new Promise((resolve) => socket.once("drain", resolve));
    if (await within(ANSWER_MS_MAX, Promise.race([drained, closed])).then(() => false, () => true)) break;
  }
  return sent;
}
