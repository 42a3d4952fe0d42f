import { PEER_REMOTE_URLS_MAX, PEER_REMOTES_MAX } from "../base/limits.ts";
import { idText } from "../membership/mod.ts";
import { APPLY_THREAD, type Message, NO_MEMBER } from "../raft/mod.ts";
import type { PeerContext } from "./context.ts";
import { parsePeerUrl } from "./http/mod.ts";
import { PeerStatus } from "./peer_status.ts";
import { Pipeline } from "./pipeline.ts";
import { UrlPicker } from "./url_picker.ts";

interface Remote {
  readonly status: PeerStatus;
  readonly pipeline: Pipeline;
}

/**
 * Members of the cluster that this one has not heard of in its log, and that have sent it something: it is new, or far
 * behind, and needs to answer them to catch up.
 */
export class Remotes {
  readonly #context: PeerContext;
  readonly #remotes = new Map<bigint, Remote>();

  constructor(context: PeerContext) {
    this.#context = context;
  }

  /** `urls`: as the member says, separated by commas. */
  add(id: bigint, urls: string): void {
    const { clock, log, identity, statistics } = this.#context;
    if (id === NO_MEMBER || id >= APPLY_THREAD || id === identity.id) return;
    if (this.#remotes.has(id) || this.#remotes.size >= PEER_REMOTES_MAX) return;
    const list = urls.split(",");
    if (list.length > PEER_REMOTE_URLS_MAX || !list.every((url) => parsePeerUrl(url) !== undefined)) return;
    const figures = statistics.of(id);
    const status = new PeerStatus(clock, log, id, figures);
    this.#remotes.set(id, {
      status,
      pipeline: new Pipeline(this.#context, id, status, figures, new UrlPicker(list)),
    });
    log.info("added new remote peer", {
      "local-member-id": idText(identity.id),
      "remote-peer-id": idText(id),
      "remote-peer-urls": list,
    });
  }

  remove(id: bigint): void {
    const remote = this.#remotes.get(id);
    if (remote === undefined) return;
    this.#remotes.delete(id);
    remote.status.end();
    remote.pipeline.stop();
  }

  send(message: Message): void {
    const remote = this.#remotes.get(message.to);
    if (remote !== undefined && !remote.pipeline.send(message)) this.#context.statistics.of(message.to).sentFailures++;
  }

  stop(): void {
    for (const id of [...this.#remotes.keys()]) this.remove(id);
  }
}
