import { existsSync } from "node:fs";
import { join } from "node:path";
import { executeOrThrow } from "../process.ts";
import { INTEROP_DIRECTORY } from "../tools.ts";
import type { Case } from "../context.ts";

const CLIENT_DIRECTORY = join(INTEROP_DIRECTORY, "clients", "node");

export const nodeClient: Case = {
  name: "etcd3",
  about: "the npm package etcd3: KV, leases, watches, locks, elections, STM",
  async run(context) {
    if (!existsSync(join(CLIENT_DIRECTORY, "node_modules", "etcd3"))) {
      console.error("installing the npm package etcd3 (once)...");
      await executeOrThrow("npm", ["ci"], { directory: CLIENT_DIRECTORY });
    }
    const server = await context.start("subject");
    const { stdout } = await executeOrThrow("node", ["main.mjs", server.url], { directory: CLIENT_DIRECTORY });
    return `${stdout.trimEnd().split("\n").length} checks`;
  },
};
