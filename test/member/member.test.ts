import { describe, expect, test } from "bun:test";
import { TURN_MS_MAX } from "../../src/base/limits.ts";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { TestMember } from "../harness/member.ts";
import { SimulatedClock } from "../harness/simulated_clock.ts";
import { type Operation, SimulatedDisk } from "../harness/simulated_disk.ts";

/** A disk whose syncs wait, from `hold` to `release`. */
function slowDisk(): { disk: SimulatedDisk; release: () => void; hold: () => void } {
  let released: Promise<void> | undefined;
  let release = (): void => {};
  const latency = async ({ kind }: Operation): Promise<void> => {
    if (kind === "sync") await released;
  };
  return {
    disk: new SimulatedDisk({ seed: 1, latency }),
    hold: () => released = new Promise((resolve) => release = resolve),
    release: () => release(),
  };
}

const KEY = utf8("key");

describe("while the disk is busy", () => {
  async function started() {
    const clock = new SimulatedClock();
    const slow = slowDisk();
    const server = await TestMember.start({ clock, disk: slow.disk });
    return { clock, server, ...slow };
  }

  test("nothing is acknowledged, applied or seen before it is durable", async () => {
    const { clock, server, hold, release } = await started();
    const watch = server.stream(Watch.method.watch);
    watch.send({ requestUnion: { case: "createRequest", value: { key: KEY } } });
    await watch.next();
    hold();
    const seen: string[] = [];
    server.startCall(KV.method.put, { key: KEY }).response.then(() => seen.push("answer"));
    watch.receive().then(() => seen.push("event"));
    await clock.advance(3000);
    expect(seen).toEqual([]);
    expect((await server.call(KV.method.range, { key: KEY })).count).toBe(0n);
    release();
    await clock.settle();
    // The watcher has it queued before the writer hears of it.
    expect(seen.sort()).toEqual(["answer", "event"]);
    expect((await server.call(KV.method.range, { key: KEY })).count).toBe(1n);
  });

  test("whatever arrives goes into one append", async () => {
    const { clock, server, disk, hold, release } = await started();
    hold();
    const first = server.startCall(KV.method.put, { key: KEY }).response;
    await clock.settle();
    const traced = disk.trace.length;
    const rest = Array.from({ length: 50 }, () => server.startCall(KV.method.put, { key: KEY }).response);
    await clock.settle();
    release();
    await clock.run(Promise.all([first, ...rest]));
    const kinds = disk.trace.slice(traced).map((line) => line.split(" ")[0]);
    expect(kinds).toEqual(["sync", "write", "sync"]);
  });

  test("a proposal is given up after seven seconds, though it may take effect later", async () => {
    const { clock, server, hold, release } = await started();
    hold();
    let answer = "none";
    server.startCall(KV.method.put, { key: KEY }).response.catch((reason) => answer = String(reason.message));
    await clock.advance(6900);
    expect(answer).toBe("none");
    await clock.advance(200);
    expect(answer).toBe("etcdserver: request timed out");
    release();
    await clock.settle();
    expect((await server.call(KV.method.range, { key: KEY })).count).toBe(1n);
  });

  test("stopping waits for the append in flight and fails what is pending", async () => {
    const { clock, server, hold, release } = await started();
    hold();
    let answer = "none";
    server.startCall(KV.method.put, { key: KEY }).response.catch((reason) => answer = String(reason.message));
    await clock.settle();
    let isStopped = false;
    const stopping = server.member.stop().then(() => isStopped = true);
    await clock.settle();
    expect(isStopped).toBe(false);
    release();
    await clock.run(stopping);
    expect(answer).toBe("etcdserver: server stopped");
    expect(clock.timerCount).toBe(0);
    const again = await TestMember.start({ disk: server.disk.kill({ seed: 1 }) });
    expect((await again.call(KV.method.range, { key: KEY })).count).toBe(1n);
  });
});

test("a stopped member refuses what comes", async () => {
  const server = await TestMember.start();
  await server.stop();
  expect(await server.errorOf(KV.method.put, { key: KEY })).toBe("14 etcdserver: server stopped");
});

test("a data directory in use is refused by name, and the member in it goes on", async () => {
  const server = await TestMember.start();
  const error = await server.clock.run(TestMember.begin({ disk: server.disk, clock: server.clock }).catch(String));
  expect(String(error)).toContain("data");
  expect(await server.errorOf(KV.method.put, { key: KEY })).toBe("no error");
});

describe("the checksum over everything stored", () => {
  async function hash(server: TestMember): Promise<number> {
    return (await server.call(Maintenance.method.hash, {})).hash;
  }

  test("is the same after a restart, and another after any change", async () => {
    const server = await TestMember.start();
    const hashes = [await hash(server)];
    await server.call(KV.method.put, { key: KEY });
    hashes.push(await hash(server));
    await server.call(Lease.method.leaseGrant, { ID: 5n, TTL: 60n });
    hashes.push(await hash(server));
    await server.call(KV.method.deleteRange, { key: KEY });
    hashes.push(await hash(server));
    expect(new Set(hashes).size).toBe(4);
    expect(await hash(await server.restart())).toBe(hashes[3]);
  });

  test("is of one moment, whatever is written while it is computed", async () => {
    // A step of work takes a turn.
    const server = await TestMember.start({ clock: new SimulatedClock({ readingMs: TURN_MS_MAX }) });
    for (let first = 0; first < 3000; first += 100) {
      const success = Array.from({ length: 100 }, (_, i) => ({
        request: { case: "requestPut", value: { key: utf8(`key${first + i}`), value: new Uint8Array(100) } },
      } as const));
      await server.call(KV.method.txn, { success });
    }
    const expected = await hash(server);
    const { response } = server.startCall(Maintenance.method.hash, {});
    const writes = [
      server.startCall(Lease.method.leaseGrant, { ID: 5n, TTL: 60n }).response,
      server.startCall(KV.method.put, { key: KEY }).response,
    ];
    await server.clock.run(Promise.all(writes));
    expect((await server.clock.run(response)).hash).toBe(expected);
  });
});
