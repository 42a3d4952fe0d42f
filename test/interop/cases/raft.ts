import { basename } from "node:path";
import type { Case } from "../context.ts";
import { confChangeRunner } from "../raft/conf_change.ts";
import { interactionRunner } from "../raft/interaction.ts";
import { runQuorumDirective } from "../raft/quorum.ts";
import { type Directive, raftModuleDirectory, runScript, scriptPaths } from "../raft/script.ts";

interface Folder {
  readonly path: string;
  readonly count: number;
  /** Called once per script. */
  readonly runner: () => (directive: Directive) => string;
}

const FOLDERS: readonly Folder[] = [
  { path: "testdata", count: 28, runner: interactionRunner },
  { path: "quorum/testdata", count: 4, runner: () => runQuorumDirective },
  { path: "confchange/testdata", count: 9, runner: confChangeRunner },
];

export const raft: Case = {
  name: "raft",
  about: "the scripts that etcd's raft is tested with, byte for byte",
  async run() {
    const directory = await raftModuleDirectory();
    let directives = 0;
    let count = 0;
    const failures: string[] = [];
    for (const folder of FOLDERS) {
      for (const path of scriptPaths(directory, folder.path, folder.count)) {
        count++;
        try {
          directives += runScript(path, folder.runner());
        } catch (error) {
          failures.push(`${folder.path}/${basename(path)}: ${(error as Error).message}`);
        }
      }
    }
    const summary = `${count - failures.length} of ${count} scripts, ${directives} directives`;
    if (failures.length > 0) throw new Error([summary, ...failures].join("\n"));
    return summary;
  },
};
