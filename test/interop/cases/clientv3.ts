import { execute } from "../process.ts";
import { programPath } from "../tools.ts";
import type { Case } from "../context.ts";

export const clientv3: Case = {
  name: "clientv3",
  about: "etcd's Go client and its concurrency package: sessions, mutex, election, STM, watches over restarts",
  async run(context) {
    const server = await context.start("subject");
    const { code, stdout, stderr } = await execute(programPath("clientv3"), ["--endpoint", server.endpoint], {
      onLine: async (line) => {
        if (line !== "restart") return undefined;
        await server.restart();
        return "done\n";
      },
      timeoutMs: 300_000,
    });
    const lines = stdout.split("\n").filter((line) => line.startsWith("ok") || line.startsWith("FAIL"));
    const failures = lines.filter((line) => line.startsWith("FAIL"));
    if (code !== 0) {
      throw new Error(`${failures.length} of ${lines.length} checks failed\n${failures.join("\n")}\n${stderr}`);
    }
    return `${lines.length} checks`;
  },
};
