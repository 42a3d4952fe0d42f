import { spawn } from "node:child_process";
import { delay, execute, type Server } from "../process.ts";
import { type Case, expectEqual } from "../context.ts";

/** One HTTP request to both servers; the body is sent as it is. */
interface Exchange {
  readonly path: string;
  readonly body?: string;
  readonly method?: string;
  readonly headers?: string[];
}

const base64 = (text: string) => Buffer.from(text).toString("base64");
const KEY = base64("key");
const END = base64("kez");

const EXCHANGES: Exchange[] = [
  { path: "/v3/kv/put", body: `{"key":"${KEY}","value":"${base64("value")}"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","value":"${base64("again")}","prev_kv":true}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","value":"${base64("camel")}","prevKv":true}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","ignore_value":true,"lease":"0"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","lease":"123"}` },
  { path: "/v3/kv/put", body: `{"key":"_-8","value":"_-8="}` },
  { path: "/v3/kv/put", body: `{"key":"YQ","value":"YQ"}` },
  { path: "/v3/kv/put", body: `{}` },
  { path: "/v3/kv/put", body: `` },
  { path: "/v3/kv/put", body: `{"key":` },
  { path: "/v3/kv/put", body: `{"key":"***"}` },
  { path: "/v3/kv/put", body: `{"key":5}` },
  { path: "/v3/kv/put", body: `[]` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","unknown":{"a":[1,2]},"value":"eA=="}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","lease":"12.5"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","lease":1e2}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","lease":"9223372036854775808"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","prev_kv":"true"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","key":"YQ=="}` },
  { path: "/v3/kv/put", body: `{"key":null,"value":null}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}` },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA=="}` },
  {
    path: "/v3/kv/range",
    body: `{"key":"AA==","rangeEnd":"AA==","limit":"1","sort_order":"DESCEND","sort_target":"KEY"}`,
  },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA==","limit":1,"sort_order":2,"sort_target":1}` },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA==","sort_order":"UPWARDS"}` },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA==","sort_order":17}` },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA==","count_only":true}` },
  { path: "/v3/kv/range", body: `{"key":"AA==","range_end":"AA==","keys_only":true,"serializable":true}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}","revision":"2"}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}","revision":"2000"}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}","revision":-1}` },
  { path: "/v3/kv/range", body: `{"key":""}` },
  { path: "/v3beta/kv/range", body: `{"key":"${KEY}"}` },
  {
    path: "/v3/kv/txn",
    body:
      `{"compare":[{"key":"${KEY}","result":"GREATER","target":"VERSION","version":"1"}],"success":[{"requestPut":{"key":"dHhu","value":"MQ=="}},{"request_range":{"key":"dHhu"}},{"request_delete_range":{"key":"${KEY}","range_end":"${END}","prev_kv":true}}],"failure":[]}`,
  },
  {
    path: "/v3/kv/txn",
    body:
      `{"compare":[{"key":"dHhu","target":"VALUE","value":"Mg=="}],"failure":[{"request_txn":{"success":[{"request_range":{"key":"dHhu"}}]}}]}`,
  },
  { path: "/v3/kv/txn", body: `{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}` },
  { path: "/v3/kv/txn", body: `{"success":[{"request_put":{"key":"YQ=="},"request_range":{"key":"YQ=="}}]}` },
  { path: "/v3/kv/txn", body: `{"success":[{}]}` },
  { path: "/v3/kv/deleterange", body: `{"key":"${base64("none")}"}` },
  { path: "/v3/kv/deleterange", body: `{"key":"YQ==","prev_kv":true}` },
  { path: "/v3/kv/compaction", body: `{"revision":"3"}` },
  { path: "/v3/kv/compaction", body: `{"revision":"3"}` },
  { path: "/v3/kv/compaction", body: `{"revision":"5","physical":true}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}","revision":"2"}` },
  { path: "/v3/lease/grant", body: `{"TTL":"600","ID":"77"}` },
  { path: "/v3/lease/grant", body: `{"TTL":600,"ID":77}` },
  { path: "/v3/lease/grant", body: `{"TTL":"9000000001","ID":"78"}` },
  { path: "/v3/kv/put", body: `{"key":"bGVhc2Vk","value":"eA==","lease":77}` },
  { path: "/v3/lease/timetolive", body: `{"ID":"77","keys":true}` },
  { path: "/v3/kv/lease/timetolive", body: `{"ID":"99"}` },
  { path: "/v3/lease/leases", body: `{}` },
  { path: "/v3/kv/lease/leases", body: `` },
  { path: "/v3/lease/keepalive", body: `{"ID":"77"}` },
  { path: "/v3/lease/keepalive", body: `{"ID":"77"}{"ID":"99"}\n{"ID":"77"}` },
  { path: "/v3/lease/keepalive", body: `{"ID":"77"}{"ID":` },
  { path: "/v3/kv/lease/revoke", body: `{"ID":"77"}` },
  { path: "/v3/lease/revoke", body: `{"ID":"77"}` },
  { path: "/v3/cluster/member/list", body: `{}` },
  { path: "/v3/cluster/member/list", body: `{"linearizable":true}` },
  { path: "/v3/maintenance/alarm", body: `{}` },
  { path: "/v3/maintenance/hashkv", body: `{}` },
  { path: "/v3/maintenance/hashkv", body: `{"revision":"5000"}` },
  { path: "/v3/lock/lock", body: `{"name":"bG9jaw==","lease":"4444"}` },
  { path: "/v3/lock/unlock", body: `{"key":"bG9jay9h"}` },
  { path: "/v3/election/leader", body: `{"name":"ZWxlY3Rpb24="}` },
  { path: "/v3/election/resign", body: `{}` },
  { path: "/v3/election/proclaim", body: `{"value":"eA=="}` },
  { path: "/v3/kv/range", method: "GET" },
  { path: "/v3/kv/range", method: "PUT", body: `{}` },
  { path: "/v3/kv/nothing", body: `{}` },
  { path: "/v3/", body: `{}` },
  { path: "/v3", body: `{}` },
  { path: "/v3/kv/range/", body: `{"key":"${KEY}"}` },
  { path: "/v3/kv/range?key=a", body: `{"key":"${KEY}"}` },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Content-Type: application/json"] },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Authorization: token"] },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Grpc-Timeout: 10S"] },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Grpc-Timeout: never"] },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Grpc-Metadata-hasleader: true"] },
  { path: "/v3/kv/range", body: `{"key":"${KEY}"}`, headers: ["Origin: http://example.com"] },
  {
    path: "/v3/kv/range",
    method: "OPTIONS",
    headers: ["Origin: http://example.com", "Access-Control-Request-Method: POST"],
  },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","value":"${base64("v".repeat(1_600_000))}"}` },
  { path: "/v3/kv/put", body: `{"key":"${KEY}","value":"${base64("v".repeat(2_200_000))}"}` },
  { path: "/version" },
  { path: "/health" },
  { path: "/health?serializable=true" },
  { path: "/health", method: "POST", body: "" },
  { path: "/livez" },
  { path: "/livez?verbose" },
  { path: "/livez/serializable_read" },
  { path: "/livez/nothing" },
  { path: "/readyz" },
  { path: "/readyz?verbose" },
  { path: "/readyz?verbose&exclude=linearizable_read" },
  { path: "/readyz/data_corruption" },
  { path: "/nothing" },
];

/**
 * Headers of an answer that a client may rely on. Lengths are not among them (see `showAnswer`), nor is whether a stream
 * that has ended already comes in chunks.
 */
const COMPARED_HEADERS = /^(content-type|allow|access-control-|grpc-metadata-|trailer|x-)/;

export const gateway: Case = {
  name: "gateway",
  about: "curl against the JSON gateway and the health endpoints: etcd's answers, byte for byte",
  async run(context) {
    const [etcd, subject] = await context.startBoth();
    const differences: string[] = [];
    for (const exchange of EXCHANGES) {
      const [expected, actual] = await Promise.all([curl(etcd, exchange), curl(subject, exchange)]);
      collect(differences, `${exchange.path} ${(exchange.body ?? "").slice(0, 120)}`, expected, actual);
    }
    for (const [name, story] of Object.entries(STREAMS)) {
      const [expected, actual] = await Promise.all([story(etcd), story(subject)]);
      collect(differences, name, expected, actual);
    }
    const total = EXCHANGES.length + Object.keys(STREAMS).length;
    if (differences.length > 0) {
      throw new Error(`${differences.length} of ${total} answers differ\n${differences.join("\n")}`);
    }
    return `${total} exchanges`;
  },
};

function collect(differences: string[], what: string, expected: string, actual: string): void {
  try {
    expectEqual(what, expected, actual);
  } catch (error) {
    differences.push((error as Error).message);
  }
}

function curlArguments(server: Server, exchange: Exchange): string[] {
  const words = ["--silent", "--show-error", "--no-buffer", "--include", "--http1.1", "--max-time", "10"];
  const method = exchange.method ?? (exchange.body === undefined ? "GET" : "POST");
  words.push("--request", method);
  for (const header of exchange.headers ?? []) words.push("--header", header);
  if (exchange.body !== undefined) words.push("--data-binary", "@-");
  return [...words, "--", server.url + exchange.path];
}

/** What both servers answer, in a form that can be compared. */
async function curl(server: Server, exchange: Exchange): Promise<string> {
  const { code, stdout, stderr } = await execute("curl", curlArguments(server, exchange), {
    input: exchange.body ?? "",
    timeoutMs: 15_000,
  });
  if (code !== 0) return `curl exits with ${code}: ${stderr}`;
  return showAnswer(stdout);
}

/**
 * Status, the headers that matter in alphabetical order, and the body, byte for byte but for what Go varies on purpose from
 * build to build: its protojson puts a space behind every comma or none, and a no-break space into error texts.
 */
function showAnswer(text: string): string {
  // An interim answer to curl's Expect header comes first.
  const parts = text.replace(/^HTTP\/1.1 100 Continue\r\n\r\n/, "").split("\r\n\r\n");
  const [status, ...headers] = parts[0]!.split("\r\n");
  const kept = headers.map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()))
    .filter((line) => COMPARED_HEADERS.test(line)).sort();
  const body = parts.slice(1).join("\r\n\r\n").replaceAll("\u00a0", " ");
  // etcd lists its checks in the order of a Go map.
  const shown = body.startsWith("[+]")
    ? body.split("\n").sort().join("\n")
    : body.split("\n").map(compactJson).join("\n");
  return [status, ...kept, "", shown].join("\n");
}

/** Takes the spaces between a JSON text's tokens out, and leaves everything else as it is. */
function compactJson(line: string): string {
  return line.startsWith("{") ? line.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, literal) => literal ?? "") : line;
}

const WATCH = `{"create_request":{"key":"${base64("watched")}","prev_kv":true}}`;

/** Answers that go on: what arrived until as many lines as expected were there. */
const STREAMS: Record<string, (server: Server) => Promise<string>> = {
  "a watch": (server) =>
    stream(server, { path: "/v3/watch", body: WATCH }, 4, async () => {
      await curl(server, { path: "/v3/kv/put", body: `{"key":"${base64("watched")}","value":"MQ=="}` });
      await curl(server, { path: "/v3/kv/put", body: `{"key":"${base64("watched")}","value":"Mg=="}` });
      await curl(server, { path: "/v3/kv/deleterange", body: `{"key":"${base64("watched")}"}` });
    }),
  "a watch of a compacted revision": (server) =>
    stream(
      server,
      {
        path: "/v3/watch",
        body: `{"create_request":{"key":"YQ==","start_revision":"2"}}`,
      },
      2,
      async () => {},
    ),
  "a watch of an empty range": (server) =>
    stream(
      server,
      { path: "/v3/watch", body: `{"create_request":{"key":"Yg==","range_end":"YQ=="}}` },
      1,
      async () => {},
    ),
  "an observed election": (server) =>
    stream(server, { path: "/v3/election/observe", body: `{"name":"b2JzZXJ2ZWQ="}` }, 1, async () => {
      await curl(server, { path: "/v3/lease/grant", body: `{"TTL":600,"ID":88}` });
      await curl(server, { path: "/v3/election/campaign", body: `{"name":"b2JzZXJ2ZWQ=","lease":88,"value":"bWU="}` });
    }),
};

async function stream(
  server: Server,
  exchange: Exchange,
  lineCount: number,
  meanwhile: () => Promise<void>,
): Promise<string> {
  const child = spawn("curl", curlArguments(server, exchange), { stdio: ["pipe", "pipe", "ignore"] });
  child.stdin.end(exchange.body ?? "");
  let text = "";
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const bodyLines = () => showAnswer(text).split("\n\n").slice(1).join("\n\n").split("\n").length - 1;
  const enough = new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
      if (bodyLines() >= lineCount) resolve();
    });
  });
  await delay(300);
  await meanwhile();
  await Promise.race([enough, exited, delay(5_000)]);
  child.kill("SIGKILL");
  await exited;
  return showAnswer(text);
}
