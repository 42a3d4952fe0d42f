import { utf8 } from "../../base/bytes.ts";
import { loadLibc } from "./libc.ts";

/**
 * Tells whoever started this process how it fares, as sd_notify(3): a datagram to `socket`, which NOTIFY_SOCKET names. An
 * empty one: nobody asks. Rejects with the reason if it cannot be told.
 */
export async function notifyInitDaemon(socket: string, state: string): Promise<void> {
  if (socket === "") return;
  const libc = await loadLibc();
  if (libc === undefined) throw new Error(`cannot write to ${socket}: this system has no libc that is known`);
  const error = libc.sendToUnixSocket(socket, utf8(state));
  if (error !== 0) throw new Error(`cannot write to ${socket}: errno ${error}`);
}
