import { expect, test } from "bun:test";
import { parsePeerUrl } from "../../../src/peer/http/mod.ts";

test("URLs of members are addresses to connect to", () => {
  const cases: [text: string, address: unknown, host: string, scheme?: string][] = [
    ["http://10.0.0.1:2380", { host: "10.0.0.1", port: 2380 }, "10.0.0.1:2380"],
    ["http://10.0.0.1:2380/", { host: "10.0.0.1", port: 2380 }, "10.0.0.1:2380"],
    ["http://m1.example.org:65535", { host: "m1.example.org", port: 65535 }, "m1.example.org:65535"],
    ["http://m1", { host: "m1", port: 80 }, "m1"],
    ["http://[::1]:2380", { host: "::1", port: 2380 }, "[::1]:2380"],
    ["http://[fe80::1%25eth0]:2380", { host: "fe80::1%eth0", port: 2380 }, "[fe80::1]:2380"],
    ["https://m1:2380", { host: "m1", port: 2380 }, "m1:2380", "https"],
    ["https://m1", { host: "m1", port: 443 }, "m1", "https"],
    ["unix://m1.sock:1", { path: "m1.sock:1" }, "localhost"],
    ["unix:///run/m1.sock", { path: "/run/m1.sock" }, "localhost"],
    ["unixs:///run/m1.sock", { path: "/run/m1.sock" }, "localhost", "https"],
  ];
  for (const [text, address, host, scheme = "http"] of cases) {
    expect(parsePeerUrl(text)).toEqual({ scheme, address, host, text } as ReturnType<typeof parsePeerUrl>);
  }
});

test("anything else is none", () => {
  const others = [
    "",
    "m1:2380",
    "ftp://m1:2380",
    "http://",
    "http://:2380",
    "http://m1:",
    "http://m1:65536",
    "http://m1:2380/path",
    "http://m1:2380?query",
    "http://user@m1:2380",
    "http://::1:2380",
    "http://[::1:2380",
    "http://m 1:2380",
    "http://m1:2380\r\nX: y",
    "unix://",
  ];
  for (const text of others) expect([text, parsePeerUrl(text)]).toEqual([text, undefined]);
});
