/** The quota used up under load and a kill in the midst of it: nothing is lost, and room made is room had. */
import { bytes, CallError, Client, prefixEnd, text } from "../client.ts";
import { type Case, check } from "../context.ts";
import { delay, type Server } from "../server.ts";
import { KV } from "../../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../../src/gen/etcdserverpb/maintenance_pb.ts";

const QUOTA = 20_000_000;
const VALUE = "v".repeat(4000);
const WRITERS = 16;
/** How long writers go on asking once everything is refused. */
const STORM_MS = 1000;
const RESOURCE_EXHAUSTED = 8;
/** Looked at every second, cleared after ten with room. */
const ALARM_TIMEOUT_MS = 30_000;

export const outOfSpace: Case = {
  name: "space",
  about: "the quota used up under load, kill -9, room made by deleting: nothing lost, the alarm clears by itself",
  async run(context) {
    const server = context.server({ flags: [`--quota-backend-bytes=${QUOTA}`, "--quota-alarm-auto-disarm"] });
    await server.start();
    const acknowledged = new Set<string>();
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => fill(server, writer, acknowledged)));
    check(await hasAlarm(server), "everything is refused, and no alarm is raised");
    const grown = await storm(server);
    check(grown === 0, `refused requests made the log ${grown} entries longer`);
    await server.stop("SIGKILL");

    await server.start();
    check(await hasAlarm(server), "the alarm is gone after a restart, and so is what the refusals said");
    const client = await Client.open(server.port);
    const { count } = await verify(client, acknowledged);
    const { header } = await client.call(KV.method.deleteRange, { key: bytes("w"), rangeEnd: prefixEnd("w") });
    await client.call(KV.method.compact, { revision: header!.revision, physical: true });
    const beganMs = performance.now();
    while (await hasAlarm(server)) {
      check(performance.now() - beganMs < ALARM_TIMEOUT_MS, "there is room, and the alarm stays");
      await delay(100);
    }
    await client.call(KV.method.put, { key: bytes("again"), value: bytes(VALUE) });
    client.close();
    const clearedAfter = ((performance.now() - beganMs) / 1000).toFixed(1);
    return `${acknowledged.size} puts acknowledged and there, ${Number(count) - acknowledged.size} more carried out; ` +
      `cleared ${clearedAfter} s after there was room`;
  },
};

/** Puts new keys until one is refused for lack of space. */
async function fill(server: Server, writer: number, acknowledged: Set<string>): Promise<void> {
  const client = await Client.open(server.port);
  try {
    for (let i = 0;; i++) {
      const key = `w${writer}/${i}`;
      await client.call(KV.method.put, { key: bytes(key), value: bytes(VALUE) });
      acknowledged.add(key);
    }
  } catch (error) {
    if (!(error instanceof CallError) || error.code !== RESOURCE_EXHAUSTED) throw error;
  } finally {
    client.close();
  }
}

/** Goes on asking for a while; returns by how many entries the log has grown. */
async function storm(server: Server): Promise<number> {
  const committed = async () => (await server.metrics())["etcd_server_proposals_committed_total"]!;
  const before = await committed();
  const endMs = performance.now() + STORM_MS;
  const client = await Client.open(server.port);
  let accepted = 0;
  while (performance.now() < endMs) {
    const calls = Array.from(
      { length: WRITERS },
      () => client.call(KV.method.put, { key: bytes("w"), value: bytes(VALUE) }).then(() => accepted++, () => {}),
    );
    await Promise.all(calls);
  }
  client.close();
  check(accepted === 0, `${accepted} puts were accepted while the alarm is raised`);
  return (await committed()) - before;
}

async function hasAlarm(server: Server): Promise<boolean> {
  const client = await Client.open(server.port);
  const { alarms } = await client.call(Maintenance.method.alarm, {}).finally(() => client.close());
  return alarms.length > 0;
}

async function verify(client: Client, acknowledged: ReadonlySet<string>): Promise<{ count: bigint }> {
  const { kvs, count } = await client.call(KV.method.range, {
    key: bytes("w"),
    rangeEnd: prefixEnd("w"),
    keysOnly: true,
  });
  const found = new Set(kvs.map(({ key }) => text(key)));
  const missing = [...acknowledged].filter((key) => !found.has(key));
  check(missing.length === 0, `${missing.length} acknowledged keys are missing, ${missing[0]} first`);
  return { count };
}
