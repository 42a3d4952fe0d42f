import { describe, expect, test } from "bun:test";
import { utf8, utf8Text } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { type CampaignResponse, Election, type LeaderKey } from "../../src/gen/v3electionpb/election_pb.ts";
import { Code, RpcError } from "../../src/io/rpc.ts";
import { type StartedCall, TestMember } from "../harness/member.ts";

const CANCELED = new RpcError(Code.CANCELED, "context canceled");
const { campaign, leader, observe, proclaim, resign } = Election.method;

async function withLeases(...ids: bigint[]): Promise<TestMember> {
  const server = await TestMember.start();
  for (const ID of ids) await server.call(Lease.method.leaseGrant, { ID, TTL: 1000n });
  return server;
}

async function startCampaign(server: TestMember, lease: bigint, value: string): Promise<StartedCall<CampaignResponse>> {
  const call = server.startCall(campaign, { name: utf8("e"), lease, value: utf8(value) });
  await server.clock.settle();
  return call;
}

async function elect(server: TestMember, lease: bigint, value: string): Promise<LeaderKey> {
  const { response } = await startCampaign(server, lease, value);
  return (await server.clock.run(response)).leader!;
}

/** The records under the election's prefix: "key=value". */
async function records(server: TestMember): Promise<string> {
  const { kvs } = await server.call(KV.method.range, { key: utf8("e/"), rangeEnd: utf8("e0") });
  return kvs.map((kv) => `${utf8Text(kv.key)}=${utf8Text(kv.value)}`).join(" ");
}

describe("a campaign", () => {
  test("is won at once by the first candidate", async () => {
    const server = await withLeases(0x10n);
    const { header, leader } = await server.call(campaign, { name: utf8("e"), lease: 0x10n, value: utf8("v") });
    expect(header!.revision).toBe(2n);
    expect(leader).toMatchObject({ name: utf8("e"), key: utf8("e/10"), rev: 2n, lease: 0x10n });
    expect(await records(server)).toBe("e/10=v");
  });

  test("by the leader again changes the value only", async () => {
    const server = await withLeases(1n);
    await elect(server, 1n, "v1");
    const same = await server.call(campaign, { name: utf8("e"), lease: 1n, value: utf8("v1") });
    expect(same).toMatchObject({ header: { revision: 2n }, leader: { rev: 2n } });
    const other = await server.call(campaign, { name: utf8("e"), lease: 1n, value: utf8("v2") });
    // The header is that of the look at what was there, as in etcd.
    expect(other).toMatchObject({ header: { revision: 2n }, leader: { rev: 2n } });
    expect(await records(server)).toBe("e/1=v2");
  });

  test("waits for all that came before", async () => {
    const server = await withLeases(1n, 2n, 3n);
    const elected: string[] = [];
    for (const lease of [2n, 3n, 1n]) {
      const { response } = await startCampaign(server, lease, "v");
      response.then(({ header, leader }) => elected.push(`${utf8Text(leader!.key)}@${header!.revision}`));
    }
    await server.call(Lease.method.leaseRevoke, { ID: 3n });
    await server.clock.settle();
    expect(elected).toEqual(["e/2@2"]);
    await server.call(Lease.method.leaseRevoke, { ID: 2n });
    await server.clock.settle();
    // One whose key is gone is elected as well, as in etcd: it finds out when it proclaims.
    expect(elected.sort()).toEqual(["e/1@4", "e/2@2", "e/3@3"]);
    expect(await records(server)).toBe("e/1=v");
  });

  test("that is cancelled leaves nothing behind", async () => {
    const server = await withLeases(1n, 2n);
    await elect(server, 1n, "v");
    const { call } = await startCampaign(server, 2n, "w");
    expect(await records(server)).toBe("e/1=v e/2=w");
    call.cancel(CANCELED);
    await server.clock.settle();
    expect(await records(server)).toBe("e/1=v");
  });
});

describe("a proclamation", () => {
  test("is the leader's, and only as long as it leads", async () => {
    const server = await withLeases(1n);
    const leaderKey = await elect(server, 1n, "v1");
    expect(await server.call(proclaim, { leader: leaderKey, value: utf8("v2") })).toMatchObject({
      header: { revision: 3n },
    });
    expect(await records(server)).toBe("e/1=v2");
    const stale = { ...leaderKey, rev: 1n };
    expect(await server.errorOf(proclaim, { leader: stale, value: utf8("v3") })).toBe("2 election: not leader");
    await server.call(resign, { leader: leaderKey });
    expect(await server.errorOf(proclaim, { leader: leaderKey, value: utf8("v3") })).toBe("2 election: not leader");
    expect(await records(server)).toBe("");
  });

  test("needs a leader key with everything in it", async () => {
    const server = await withLeases(1n);
    const leaderKey = await elect(server, 1n, "v1");
    const errors = [
      await server.errorOf(proclaim, {}),
      await server.errorOf(proclaim, { leader: { ...leaderKey, key: utf8("") } }),
      await server.errorOf(proclaim, { leader: { ...leaderKey, lease: 999n } }),
    ];
    expect(errors).toEqual([
      '2 "leader" field must be provided',
      "2 etcdserver: key is not provided",
      "2 etcdserver: requested lease not found",
    ]);
  });
});

describe("a resignation", () => {
  test("makes way for the next candidate", async () => {
    const server = await withLeases(1n, 2n);
    const leaderKey = await elect(server, 1n, "v");
    const { response } = await startCampaign(server, 2n, "w");
    expect(await server.call(resign, { leader: leaderKey })).toMatchObject({ header: { revision: 4n } });
    expect(await server.clock.run(response)).toMatchObject({ header: { revision: 3n }, leader: { rev: 3n } });
  });

  test("from a leadership that was lost is no error", async () => {
    const server = await withLeases(1n);
    const leaderKey = await elect(server, 1n, "v");
    expect(await server.call(resign, { leader: { ...leaderKey, rev: 1n } })).toMatchObject({
      header: { revision: 2n },
    });
    expect(await records(server)).toBe("e/1=v");
    expect(await server.errorOf(resign, {})).toBe('2 "leader" field must be provided');
  });
});

test("the leader is the candidate whose key is the oldest", async () => {
  const server = await withLeases(1n, 2n);
  expect(await server.errorOf(leader, { name: utf8("e") })).toBe("2 election: no leader");
  await elect(server, 2n, "v");
  await startCampaign(server, 1n, "w");
  expect(await server.call(leader, { name: utf8("e") })).toMatchObject({
    header: { revision: 3n },
    kv: { key: utf8("e/2"), value: utf8("v"), createRevision: 2n, lease: 2n },
  });
});

describe("an observer", () => {
  test("hears of every leader and of what it proclaims", async () => {
    const server = await withLeases(1n, 2n);
    const stream = server.stream(observe, { name: utf8("e") });
    const heard: string[] = [];
    const listening = (async () => {
      for (let next = await stream.receive(); next !== undefined; next = await stream.receive()) {
        heard.push(`${utf8Text(next.kv!.key)}=${utf8Text(next.kv!.value)}@${next.header!.revision}`);
      }
    })().catch((reason) => heard.push((reason as RpcError).message));
    await server.clock.settle();
    const leaderKey = await elect(server, 1n, "v1");
    await server.call(proclaim, { leader: leaderKey, value: utf8("v2") });
    await startCampaign(server, 2n, "w");
    await server.call(resign, { leader: leaderKey });
    await server.clock.settle();
    await server.call(Lease.method.leaseRevoke, { ID: 2n });
    await elect(server, 1n, "back");
    await server.clock.settle();
    stream.call.cancel(CANCELED);
    await server.clock.run(listening);
    expect(heard).toEqual(["e/1=v1@2", "e/1=v2@3", "e/2=w@5", "e/1=back@7", "context canceled"]);
  });

  test("begins with the leader there is", async () => {
    const server = await withLeases(1n);
    await elect(server, 1n, "v");
    const stream = server.stream(observe, { name: utf8("e") });
    expect(await stream.next()).toMatchObject({ kv: { key: utf8("e/1"), value: utf8("v") }, header: { revision: 2n } });
    expect(server.budget.used).toBe(0);
  });
});
