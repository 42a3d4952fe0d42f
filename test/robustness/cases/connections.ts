/**
 * More connections than the process may have files: those beyond the bound are closed, and those within it go on, through a
 * change of the log's segment, which needs files of its own.
 */
import { bytes, Client } from "../client.ts";
import { Connection } from "../connection.ts";
import { type Case, check } from "../context.ts";
import { delay, withDescriptors } from "../server.ts";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";

const DESCRIPTORS = 300;
const ATTEMPTS = 600;
const VALUE_SIZE = 1 << 20;
const SEGMENT_SIZE = 64_000_000;
const SETTLE_MS_MAX = 5000;

export const connections: Case = {
  name: "connections",
  about: "more connections than file descriptors: those beyond the bound are closed, the log still gets its files",
  async run(context) {
    const server = context.server({ wrapper: withDescriptors(DESCRIPTORS) });
    await server.start();
    const client = await Client.open(server.port);
    const crowd: Connection[] = [];
    context.onEnd(() => crowd.forEach((each) => each.close()));
    for (let i = 0; i < ATTEMPTS; i++) crowd.push(await Connection.open(server.port));
    await delay(300);
    const held = crowd.filter((each) => !each.isClosed).length;
    const files = readdirSync(`/proc/${server.pid}/fd`).length;
    check(
      held > 0 && held < DESCRIPTORS,
      `${held} of ${ATTEMPTS} connections are held with ${DESCRIPTORS} descriptors`,
    );

    const value = new Uint8Array(VALUE_SIZE);
    for (let i = 0; i * VALUE_SIZE < SEGMENT_SIZE * 1.2; i++) {
      await client.call(KV.method.put, { key: bytes("large"), value });
    }
    const segments = readdirSync(join(server.dataDirectory, "member", "wal")).filter((name) => name.endsWith(".wal"));
    check(segments.length === 2, `${segments.length} segments`);
    check(server.logLines().some((line) => /too many connections/.test(line)), "the log does not say what happens");

    for (const each of crowd) each.close();
    const deadlineMs = performance.now() + SETTLE_MS_MAX;
    let isServed = false;
    while (!isServed && performance.now() < deadlineMs) {
      const late = await Client.open(server.port);
      isServed = await late.call(KV.method.range, { key: bytes("large"), countOnly: true }).then(
        () => true,
        () => false,
      );
      late.close();
    }
    check(isServed, "nobody new is served after the crowd has gone");
    client.close();
    return `${ATTEMPTS} connections with ${DESCRIPTORS} descriptors: ${held} held, ${files} files open; puts went on ` +
      "through a new segment; the next client was served";
  },
};
