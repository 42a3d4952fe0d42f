/** `defrag --data-dir`: the database of a member that does not run, written anew without what is dead in it. */

import { formatDuration } from "../../base/duration.ts";
import { formatSize } from "../../base/size.ts";
import { type Command, CommandError, ExitCode, type Flag, type Invocation } from "../command_line/mod.ts";
import { databasePath, replaceDatabase } from "./data_directory.ts";
import { requireFile, withDatabase } from "./database.ts";
import { readBuckets } from "./rewrite.ts";

export const DATA_DIRECTORY_FLAG: Flag = {
  name: "data-dir",
  kind: "string",
  defaultValue: "",
  usage: "data directory of a member that does not run",
};

export const DEFRAG_FILE: Command = {
  name: "defrag",
  summary: "Gives back the space that the database of a stopped member does not need",
  flags: [DATA_DIRECTORY_FLAG],
  requiredFlags: ["data-dir"],
  run: defragmentDirectory,
};

export async function defragmentDirectory({ flags, console }: Invocation): Promise<number> {
  const directory = flags.string("data-dir");
  const path = databasePath(directory);
  const beganMs = performance.now();
  try {
    await requireFile(path);
    await withDatabase(path, flags.duration("timeout"), async (database) => {
      console.log.info("defragmenting", {
        path,
        "current-db-size-bytes": database.size,
        "current-db-size": formatSize(database.size),
      });
      const { size } = await replaceDatabase(database, await readBuckets(database));
      console.log.info("finished defragmenting directory", {
        path,
        "current-db-size-bytes-diff": size - database.size,
        "current-db-size-bytes": size,
        "current-db-size": formatSize(size),
        took: formatDuration(performance.now() - beganMs),
      });
    });
    return ExitCode.SUCCESS;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new CommandError(error.code, `Failed to defragment etcd data[${directory}] (${error.message})`);
  }
}
