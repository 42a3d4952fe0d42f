/** `defrag` of members that run. */

import { formatDuration } from "../../base/duration.ts";
import { type Command, CommandError, type Console, ExitCode, type Invocation } from "../command_line/mod.ts";
import { printerOf } from "../output/mod.ts";
import { callErrorText, openClient } from "./client.ts";
import { type ClientSettings, readSettings } from "./settings.ts";

export const DEFRAG: Command = {
  name: "defrag",
  summary: "Gives space back on the members named by --endpoints",
  flags: [{
    name: "cluster",
    kind: "bool",
    defaultValue: false,
    usage: "on all members that the cluster lists, not only those of --endpoints",
  }],
  run: defragmentMembers,
};

export async function defragmentMembers({ flags, console }: Invocation): Promise<number> {
  const settings = readSettings(flags, console);
  printerOf(flags);
  const endpoints = flags.boolean("cluster") ? await listEndpoints(settings) : settings.endpoints;
  let failures = 0;
  for (const endpoint of endpoints) {
    if (!await defragment(endpoint, settings, console)) failures++;
  }
  return failures === 0 ? ExitCode.SUCCESS : ExitCode.ERROR;
}

/** The client URLs of all members. Throws a CommandError. */
async function listEndpoints(settings: ClientSettings): Promise<string[]> {
  let failure: unknown = "there are no endpoints";
  for (const endpoint of settings.endpoints) {
    const client = openClient(endpoint, settings);
    const signal = AbortSignal.timeout(settings.commandTimeoutMs);
    try {
      await client.logIn(signal);
      const { members } = await client.cluster.memberList({ linearizable: true }, { signal });
      return members.flatMap((member) => member.clientURLs);
    } catch (error) {
      failure = signal.aborted ? "context deadline exceeded" : callErrorText(error);
    } finally {
      client.close();
    }
  }
  throw new CommandError(ExitCode.ERROR, `failed to fetch endpoints from etcd cluster member list: ${failure}`);
}

async function defragment(endpoint: string, settings: ClientSettings, console: Console): Promise<boolean> {
  const client = openClient(endpoint, settings);
  const beganMs = performance.now();
  const signal = AbortSignal.timeout(settings.commandTimeoutMs);
  const took = () => formatDuration(performance.now() - beganMs);
  try {
    await client.logIn(signal);
    await client.maintenance.defragment({}, { signal });
    console.out(`Finished defragmenting etcd member[${endpoint}]. took ${took()}\n`);
    return true;
  } catch (error) {
    const reason = signal.aborted ? "context deadline exceeded" : callErrorText(error);
    console.error(`Failed to defragment etcd member[${endpoint}]. took ${took()}. (${reason})\n`);
    return false;
  } finally {
    client.close();
  }
}
