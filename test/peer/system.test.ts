/** The transport on real sockets. */
import { afterEach, expect, test } from "bun:test";
import { silentLogger } from "../../src/io/log.ts";
import { bunNetwork, nodeNetwork, systemClock } from "../../src/io/system/mod.ts";
import type { StreamServer } from "../../src/io/net.ts";
import { PeerTransport } from "../../src/peer/mod.ts";
import { MessageType } from "../../src/raft/mod.ts";
import { append, CLUSTER_ID, databaseOf, message, RecordingHandler, snapshotMessage } from "./world.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

test.each([["Bun's sockets", bunNetwork], ["node:net", nodeNetwork]])(
  "three members talk over %s: messages, a snapshot, a question",
  async (_name, network) => {
    const ids = [1n, 2n, 3n];
    const handlers = ids.map(() => new RecordingHandler());
    const transports: PeerTransport[] = [];
    const servers: StreamServer[] = [];
    for (const [i, id] of ids.entries()) {
      const transport = new PeerTransport({
        network,
        clock: systemClock,
        log: silentLogger,
        peerUrls: [],
        version: "3.7.1",
        electionTimeoutMs: 1000,
        readTimeoutMs: 5000,
        writeTimeoutMs: 5000,
      });
      servers.push(
        await network.listen({ host: "127.0.0.1", port: 0 }, {
          onStream: (stream) => transport.serve(stream),
          onStreamClosed() {},
        }),
      );
      transports.push(transport);
      transport.start(id, CLUSTER_ID, handlers[i]);
    }
    cleanups.push(() => {
      for (const server of servers) server.close();
      return Promise.all(transports.map((transport) => transport.stop()));
    });
    for (const [i, transport] of transports.entries()) {
      for (const j of ids.keys()) if (j !== i) transport.addPeer(ids[j], [`http://${servers[j].address}`]);
    }
    await until(() =>
      transports.every((transport) =>
        ids.every((id, i) => transports[i] === transport || transport.activeSinceMs(id) !== undefined)
      )
    );

    const messages = Array.from({ length: 1000 }, (_, i) => append(1n, 2n, i + 1, new Uint8Array(1000)));
    transports[0].send(messages);
    transports[0].send([message(MessageType.HEARTBEAT, 1n, 3n)]);
    const { view, hash } = databaseOf(1_000_000);
    expect(await transports[2].sendSnapshot(snapshotMessage(3n, 1n), view)).toBe(true);
    const question = { method: "GET", path: "/version", contentType: "", body: new Uint8Array() } as const;
    expect((await transports[1].ask(3n, question, 2000))?.status).toBe(200);
    await until(() => handlers[1].messages.length === 1000 && handlers[2].messages.length === 1);
    expect(handlers[1].messages).toEqual(messages);
    expect(handlers[0].snapshots.map(({ size, hash }) => [size, hash])).toEqual([[1_000_000, hash]]);
  },
  20_000,
);

async function until(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !isSo(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(isSo()).toBe(true);
}
