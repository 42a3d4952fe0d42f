import { CLUSTER_VERSION, ETCD_VERSION } from "../base/version.ts";
import type { Command } from "./command_line/mod.ts";

/** `etcdctl version` and `etcdutl version`: etcd's two lines. */
export function versionCommand(program: string): Command {
  const apiVersion = CLUSTER_VERSION.split(".").slice(0, 2).join(".");
  return {
    name: "version",
    summary: `Prints the version of ${program}`,
    run: async ({ console }) => {
      console.out(`${program} version: ${ETCD_VERSION}\nAPI version: ${apiVersion}\n`);
      return 0;
    },
  };
}
