/** Makes a server of a configuration, and runs it until a signal. */

import { writeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { bannerText } from "./banner.ts";
import { notifyInitDaemon } from "../io/system/mod.ts";
import { MemberRemovedError } from "../member/mod.ts";
import type { Config } from "./config.ts";
import { identifyDataDirectory } from "./data_directory.ts";
import type { ProcessLogger } from "./log/mod.ts";
import { startServer } from "./server.ts";
import { type RunningServer, runUntilEnd, tellRemoved } from "./signals.ts";

/** Runs a member; returns the exit code of the process. */
export async function serve(config: Config, log: ProcessLogger): Promise<number> {
  let server: RunningServer;
  try {
    const found = await identifyDataDirectory(config.dataDir, log);
    log.info(found === "member" ? "server has already been initialized" : "Initialize and start etcd server", {
      "data-dir": config.dataDir,
      "dir-type": found,
    });
    server = await startServer(config, log);
  } catch (error) {
    if (error instanceof MemberRemovedError) {
      tellRemoved(log, error);
      return 1;
    }
    log.fatal("failed to start", { error });
    return 1;
  }
  await tellReady(log);
  if (isatty(2) && config.logFormat !== "json") writeSync(2, bannerText(config, process.env.NO_COLOR === undefined));
  return await runUntilEnd(server, log);
}

/** Says to systemd, or whoever else started this process and waits for it, that it serves. */
async function tellReady(log: ProcessLogger): Promise<void> {
  log.info("notifying init daemon");
  try {
    await notifyInitDaemon(process.env.NOTIFY_SOCKET ?? "", "READY=1");
    log.info("successfully notified init daemon");
  } catch (error) {
    log.error("failed to notify systemd for readiness", { error });
  }
}
