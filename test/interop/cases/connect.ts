import { execute } from "../process.ts";
import { join } from "node:path";
import { INTEROP_DIRECTORY, PROJECT_DIRECTORY } from "../tools.ts";
import type { Case } from "../context.ts";

export const connect: Case = {
  name: "connect",
  about: "@connectrpc/connect-node over its gRPC, gRPC-Web and Connect transports",
  async run(context) {
    const server = await context.start("subject");
    const { code, stdout, stderr } = await execute(
      join(PROJECT_DIRECTORY, "node_modules", ".bin", "bun"),
      [join(INTEROP_DIRECTORY, "clients", "connect", "main.ts"), server.url],
    );
    const lines = stdout.split("\n").filter((line) => /^(ok|FAIL)/.test(line));
    const failures = lines.filter((line) => line.startsWith("FAIL"));
    if (code !== 0) {
      throw new Error(`${failures.length} of ${lines.length} checks failed\n${failures.join("\n")}\n${stderr}`);
    }
    return `${lines.length} checks`;
  },
};
