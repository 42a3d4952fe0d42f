import { expect, test } from "bun:test";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { TestMember } from "../harness/member.ts";

test("the server as a whole is serving, and no other service is known", async () => {
  const member = await TestMember.start();
  expect((await member.call(Health.method.check, {})).status).toBe(ServingStatus.SERVING);
  expect(await member.errorOf(Health.method.check, { service: "etcdserverpb.KV" })).toBe("5 unknown service");
  const { statuses } = await member.call(Health.method.list, {});
  expect(Object.entries(statuses).map(([name, { status }]) => [name, status])).toEqual([["", ServingStatus.SERVING]]);
  await member.stop();
});

test("a watch tells the status at once and stays open", async () => {
  const member = await TestMember.start();
  for (const [service, status] of [["", ServingStatus.SERVING], ["x", ServingStatus.SERVICE_UNKNOWN]] as const) {
    const stream = member.stream(Health.method.watch, { service });
    expect((await stream.next())!.status).toBe(status);
    expect(stream.call.isClosed).toBe(false);
  }
  await member.stop();
});
