import { runConfChangeScripts } from "../raft/conf_change.ts";
import { runQuorumScripts } from "../raft/quorum.ts";
import { raftModuleDirectory } from "../raft/script.ts";
import type { Case } from "../context.ts";

export const raft: Case = {
  name: "raft",
  about: "the scripts that etcd's raft is tested with, byte for byte",
  async run() {
    const directory = await raftModuleDirectory();
    const quorum = runQuorumScripts(directory);
    const confChange = runConfChangeScripts(directory);
    return `directives: ${quorum} of quorums, ${confChange} of membership changes`;
  },
};
