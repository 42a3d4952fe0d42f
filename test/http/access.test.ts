import { expect, test } from "bun:test";
import { ask, type RawAnswer, startDoors } from "./support.ts";
import type { Method } from "../../src/io/rpc.ts";

const METHODS: readonly Method[] = [{
  kind: "unary",
  path: "/etcdserverpb.KV/Put",
  handle: (call) => call.reply(new Uint8Array(0)),
}];

function corsOf({ headers }: RawAnswer): Record<string, unknown> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("access-control-")));
}

const ETCD_CORS = {
  "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
  "access-control-allow-headers": "accept, content-type, authorization",
};

test("without a list of origins every answer allows all, as etcd's do", async () => {
  const server = await startDoors(METHODS);
  for (const path of ["/health", "/v3/kv/put", "/nothing"]) {
    const answer = await ask(server.url, path, { headers: { origin: "http://page.example" } });
    expect(corsOf(answer)).toEqual({ ...ETCD_CORS, "access-control-allow-origin": "*" });
  }
  const preflight = await ask(server.url, "/anything", { method: "OPTIONS" });
  expect([preflight.status, preflight.body]).toEqual([200, ""]);
  await server.stop();
});

test("with a list, only the pages on it are answered with permission", async () => {
  const server = await startDoors(METHODS, { cors: ["http://page.example", "https://other.example"] });
  const allowed = await ask(server.url, "/version", { headers: { origin: "http://page.example" } });
  expect(corsOf(allowed)).toEqual({ ...ETCD_CORS, "access-control-allow-origin": "http://page.example" });
  for (const headers of [{ origin: "http://evil.example" }, {}] as Record<string, string>[]) {
    expect(corsOf(await ask(server.url, "/version", { headers }))).toEqual({});
  }
  await server.stop();
});

test("Connect and gRPC-Web get their request headers allowed and their response headers exposed", async () => {
  const server = await startDoors(METHODS, { cors: ["http://page.example"] });
  const preflight = await ask(server.url, "/etcdserverpb.KV/Put", {
    method: "OPTIONS",
    headers: { origin: "http://page.example", "access-control-request-headers": "connect-protocol-version,x-grpc-web" },
  });
  expect(preflight.status).toBe(200);
  const cors = corsOf(preflight) as Record<string, string>;
  expect(cors["access-control-allow-origin"]).toBe("http://page.example");
  const allowed = cors["access-control-allow-headers"].split(", ");
  for (
    const name of ["content-type", "authorization", "connect-protocol-version", "connect-timeout-ms", "x-grpc-web"]
  ) {
    expect(allowed).toContain(name);
  }
  for (const name of ["x-user-agent", "grpc-timeout", "token"]) expect(allowed).toContain(name);
  expect(cors["access-control-expose-headers"].split(", ")).toContain("grpc-status");
  expect(cors["access-control-expose-headers"].split(", ")).toContain("grpc-message");
  expect(preflight.headers.vary).toBe("origin");
  await server.stop();
});

test("a request that names a host not on the whitelist is refused with etcd's explanation", async () => {
  const server = await startDoors(METHODS, { hostWhitelist: ["127.0.0.1", "::1", "etcd.example"] });
  const status = async (host: string) => (await ask(server.url, "/version", { headers: { host } })).status;
  expect(await status("127.0.0.1:2379")).toBe(200);
  expect(await status("etcd.example")).toBe(200);
  expect(await status("[::1]:2379")).toBe(200);
  expect(await status("[::1]")).toBe(421);
  const refused = await ask(server.url, "/v3/kv/put", { method: "POST", headers: { host: "evil.example:80" } });
  expect(refused.status).toBe(421);
  expect(refused.body).toStartWith("\netcd received your request, but the Host header was unrecognized.\n");
  expect(refused.body).toContain('etcd --host-whitelist "evil.example"\n');
  await server.stop();
});
