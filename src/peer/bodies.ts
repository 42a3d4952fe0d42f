import { concatBytes } from "../base/bytes.ts";
import { PEER_BODIES_SIZE_MAX } from "../base/limits.ts";
import type { HttpExchange } from "../io/net.ts";

/** Why a body is not taken. */
export type BodyError = "too large" | "no room";

/** Gathers bodies of requests, as many at a time as there is room for. */
export class Bodies {
  /** Of those that are not complete. */
  #size = 0;

  /** `whole` is called once, with the body if it has at most `sizeMax` bytes; not at all if the request breaks off. */
  gather(exchange: HttpExchange, sizeMax: number, whole: (body: Uint8Array | BodyError) => void): void {
    let chunks: Uint8Array[] = [];
    let size = 0;
    let isDone = false;
    const release = (): void => {
      isDone = true;
      this.#size -= size;
      chunks = [];
    };
    const refuse = (why: BodyError): void => {
      release();
      whole(why);
    };
    exchange.onData((chunk) => {
      if (isDone) return;
      if (size + chunk.length > sizeMax) return refuse("too large");
      if (this.#size + chunk.length > PEER_BODIES_SIZE_MAX) return refuse("no room");
      chunks.push(chunk.slice());
      size += chunk.length;
      this.#size += chunk.length;
    });
    exchange.onEnd(() => {
      if (isDone) return;
      const body = concatBytes(chunks);
      release();
      whole(body);
    });
    exchange.onAbort(() => {
      if (!isDone) release();
    });
  }
}
