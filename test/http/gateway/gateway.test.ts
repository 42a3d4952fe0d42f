import { afterAll, beforeAll, expect, test } from "bun:test";
import { startServer, type TestServer } from "../support.ts";
import { type GatewayAnswer, gatewayAnswer } from "./answers.ts";
import recorded from "./recorded.json" with { type: "json" };
import { GATEWAY_REQUESTS } from "./requests.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

test("every request of the table is answered as etcd 3.7.1 answered it", async () => {
  expect(recorded).toHaveLength(GATEWAY_REQUESTS.length);
  const differences: unknown[] = [];
  for (const [index, request] of GATEWAY_REQUESTS.entries()) {
    const answer = await gatewayAnswer(server.url, request);
    const expected = recorded[index] as GatewayAnswer;
    if (!Bun.deepEquals(answer, expected)) differences.push({ request, expected, answer });
  }
  expect(differences).toEqual([]);
}, 30_000);
