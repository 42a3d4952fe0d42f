import { parsePeerUrl, type PeerUrl } from "./http/mod.ts";

/** The URLs of one peer: the one that worked last, until it does not. */
export class UrlPicker {
  #urls: readonly PeerUrl[] = [];
  #picked = 0;

  /** What cannot be read as a URL is left out. */
  constructor(urls: readonly string[]) {
    this.update(urls);
  }

  update(urls: readonly string[]): void {
    this.#urls = urls.map(parsePeerUrl).filter((url) => url !== undefined);
    this.#picked = 0;
  }

  /** Undefined: there is none. */
  get picked(): PeerUrl | undefined {
    return this.#urls[this.#picked];
  }

  /** All of them, the picked one first. */
  get inTurn(): readonly PeerUrl[] {
    return [...this.#urls.slice(this.#picked), ...this.#urls.slice(0, this.#picked)];
  }

  /** The peer was not reached there. */
  markUnreachable(url: PeerUrl): void {
    if (url === this.picked) this.#picked = (this.#picked + 1) % this.#urls.length;
  }
}
