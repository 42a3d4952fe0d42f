import { afterEach, beforeEach, expect, test } from "bun:test";
import { utf8 } from "../../src/base/bytes.ts";
import { KV } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { Maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { Watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { TestMember } from "../harness/member.ts";

let server: TestMember;

beforeEach(async () => {
  server = await TestMember.start();
  const { auth } = server.member.keyspace;
  const records = auth.records();
  // As an entry from another member leaves it.
  auth.restore({ ...records, auth: [[utf8("authEnabled"), Uint8Array.of(1)], ...records.auth] });
});
afterEach(() => server.stop());

test("a member serves nobody's data once access control is on that it cannot enforce", async () => {
  const refusal = /authentication is enabled in this cluster, and this version does not enforce it yet/;
  expect(await server.errorOf(KV.method.range, { key: utf8("k"), serializable: true })).toMatch(refusal);
  expect(await server.errorOf(KV.method.put, { key: utf8("k") })).toMatch(refusal);
  expect(await server.errorOf(Maintenance.method.status, {})).toMatch(refusal);
  const watch = server.stream(Watch.method.watch);
  await expect(watch.next()).rejects.toThrow(refusal);
});

test("it still says that it is there", async () => {
  const { status } = await server.call(Health.method.check, {});
  expect(status).toBe(HealthCheckResponse_ServingStatus.SERVING);
});
