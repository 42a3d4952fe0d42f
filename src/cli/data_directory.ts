/** What is in the data directory before a member starts on it. */

import { readdir } from "node:fs/promises";
import type { Logger } from "../io/log.ts";
import { ConfigError } from "./config.ts";

/** "member": one has run here before. Throws a ConfigError if no member can start here. */
export async function identifyDataDirectory(path: string, log: Logger): Promise<"member" | "empty"> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "empty";
    throw new ConfigError(`failed to list data directory ${path}: ${(error as Error).message}`);
  }
  for (const name of names) {
    if (name !== "member" && name !== "proxy") {
      log.warn("found invalid file under data directory", { filename: name, "data-dir": path });
    }
  }
  if (names.includes("proxy")) {
    throw new ConfigError(
      names.includes("member")
        ? "invalid datadir; both member and proxy directories exist"
        : `${path} belongs to a v2 http proxy, which etcd gave up in 3.6`,
    );
  }
  return names.includes("member") ? "member" : "empty";
}
