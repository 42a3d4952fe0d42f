import { readFileSync } from "node:fs";
import { join } from "node:path";
import { execute } from "../process.ts";
import { programPath } from "../tools.ts";
import type { Case } from "../context.ts";

/** Cases of h2spec that do not pass, each with the paragraph of RFC 9113 that allows what the server does. */
const EXCEPTIONS: Record<string, string> = {
  "http2/3.5: Sends invalid connection preface":
    "section 3.4: what is not HTTP/2 gets no GOAWAY; on this port it is answered as HTTP/1.1, with 400, and closed",
  "http2/8.1: Sends a second HEADERS frame without the END_STREAM flag":
    "section 8.1: a server may answer completely before the whole request is there, as it does for this path",
};

export const h2spec: Case = {
  name: "h2spec",
  about: "the HTTP/2 and HPACK conformance suite on the client port",
  async run(context) {
    const server = await context.start("subject");
    const [host, port] = server.endpoint.split(":") as [string, string];
    const report = join(context.directory, "h2spec.xml");
    const { stdout } = await execute(
      programPath("h2spec"),
      ["--host", host, "--port", port, "--timeout", "3", "--junit-report", report],
      { timeoutMs: 600_000 },
    );
    const failures = failedCases(readFileSync(report, "utf8"));
    const unexpected = failures.filter((name) => !(name in EXCEPTIONS));
    const outdated = Object.keys(EXCEPTIONS).filter((name) => !failures.includes(name));
    const totals = stdout.trimEnd().split("\n").at(-1)!;
    if (unexpected.length > 0 || outdated.length > 0) {
      throw new Error([
        totals,
        ...unexpected.map((name) => `fails: ${name}`),
        ...outdated.map((name) => `passes now, so take it off the exceptions: ${name}`),
      ].join("\n"));
    }
    return totals;
  },
};

/** The names ("section: description") of the cases in a JUnit report that failed. */
function failedCases(xml: string): string[] {
  const names: string[] = [];
  for (const [, attributes, body] of xml.matchAll(/<testcase ([^>]*)>(.*?)<\/testcase>/gs)) {
    if (!/<failure|<error/.test(body!)) continue;
    const value = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(attributes!)?.[1] ?? "";
    names.push(`${value("package")}: ${value("classname")}`.replaceAll("&#34;", '"').replaceAll("&amp;", "&"));
  }
  return names;
}
