import { executeOrThrow } from "../process.ts";
import { programPath } from "../tools.ts";
import type { Case } from "../context.ts";

export const transport: Case = {
  name: "transport",
  about: "malformed protobuf, unknown methods, wrong content types, broken frames: etcd's status and text",
  async run(context) {
    const [etcd, subject] = await context.startBoth();
    const { stdout } = await executeOrThrow(programPath("transport"), [
      "--reference",
      etcd.endpoint,
      "--subject",
      subject.endpoint,
    ], { timeoutMs: 300_000 });
    return stdout.trimEnd().split("\n").at(-1)!;
  },
};
