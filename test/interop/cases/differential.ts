import { etcdCommand, executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import type { Case } from "../context.ts";

/** The longest a run of 100,000 operations may take on a slow machine. */
const TIMEOUT_MS = 20 * 60_000;

export const differential: Case = {
  name: "differential",
  about: "a long random sequence of requests, restarts inside it, answered as etcd answers it",
  async run(context) {
    const { subject, seed, operations, port } = context.settings;
    const { stdout } = await executeOrThrow(programPath("differential"), [
      // Nothing here tests etcd's own durability, and a process killed does not lose the page cache.
      ...["--reference", `${etcdCommand()} --unsafe-no-fsync`, "--subject", subject, "--dir", context.directory],
      ...["--seed", String(seed), "--ops", String(operations), "--port", String(port)],
    ], { timeoutMs: TIMEOUT_MS });
    const outcome = stdout.split("\n").find((line) => line.startsWith("no difference"));
    return `seed ${seed}: ${outcome}`;
  },
};
