import { expect, test } from "bun:test";
import { isIpAddress, parseUrls } from "../../src/membership/mod.ts";

test("a URL is taken apart and written back as etcd writes it", () => {
  expect(parseUrls(["  HTTP://127.0.0.1:2379 ", "https://[::1]:1", "unix:///run/x", "unix://a/b"])).toEqual([
    { scheme: "http", text: "http://127.0.0.1:2379", host: "127.0.0.1", port: "2379", path: "" },
    { scheme: "https", text: "https://[::1]:1", host: "::1", port: "1", path: "" },
    { scheme: "unix", text: "unix:///run/x", host: "", port: "", path: "/run/x" },
    { scheme: "unix", text: "unix://a/b", host: "", port: "", path: "a/b" },
  ]);
});

test("hosts may have what Go lets them have", () => {
  for (const host of ["é", "%C3%A9", "[::1%25en0]", "a<b>", ""]) {
    expect(parseUrls([`http://${host}:1`])).toHaveLength(1);
  }
});

test("what etcd refuses is refused in its words", () => {
  const cases: [string, string][] = [
    ["", "URL scheme must be http, https, unix, or unixs: "],
    ["127.0.0.1:2379", 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon'],
    ["localhost:2379", "URL scheme must be http, https, unix, or unixs: localhost:2379"],
    [":2379", 'parse ":2379": missing protocol scheme'],
    ["ftp://a:1", "URL scheme must be http, https, unix, or unixs: ftp://a:1"],
    ["http://a", 'URL address does not have the form "host:port": http://a'],
    ["http://::1:1", 'URL address does not have the form "host:port": http://::1:1'],
    ["http://a:b", 'parse "http://a:b": invalid port ":b" after host'],
    ["http://a b:1", 'parse "http://a b:1": invalid character " " in host name'],
    ["http://a\\b:1", 'parse "http://a\\\\b:1": invalid character "\\\\" in host name'],
    ["http://a%41:8", 'parse "http://a%41:8": invalid URL escape "%41"'],
    ["http://[::1%en0]:1", 'parse "http://[::1%en0]:1": invalid URL escape "%en"'],
    ["http://a:1/", "URL must not contain a path: http://a:1/"],
  ];
  for (const [text, message] of cases) expect(() => parseUrls([text])).toThrow(message);
});

test("addresses are told from names", () => {
  for (const host of ["127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1", "::ffff:1.2.3.4"]) {
    expect(isIpAddress(host)).toBe(true);
  }
  for (const host of ["", "localhost", "1.2.3", "1.2.3.256", "01.2.3.4", "fe80::1%lo", "a::g", "1.2.3.4.5"]) {
    expect(isIpAddress(host)).toBe(false);
  }
});
