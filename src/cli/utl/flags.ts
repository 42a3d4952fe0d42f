import type { Flag } from "../command_line/mod.ts";
import { WRITE_OUT } from "../ctl/mod.ts";

/** What every command takes that works on files: etcdutl's names and defaults. */
export const FILE_FLAGS: readonly Flag[] = [
  {
    name: "timeout",
    kind: "duration",
    defaultValue: 10_000,
    usage: "how long to wait for a file that another process has locked, 0 for ever",
  },
  WRITE_OUT,
];
