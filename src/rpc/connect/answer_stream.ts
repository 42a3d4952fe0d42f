/** Response bodies that are made while the client reads them. */

import { JSON_PIECE_SIZE, PIECED_ANSWER_STALL_MS } from "../../base/limits.ts";
import type { MessageBody } from "../../io/rpc.ts";

/**
 * A stream of what `pieces` yields, as the client takes it. `onEnd` runs once: after the last piece, when the client goes
 * away, when a piece fails, or when nothing was taken for too long.
 */
export function answerStream(pieces: Iterator<Uint8Array>, onEnd: () => void): ReadableStream<Uint8Array> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    onEnd();
  };
  const watchStall = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      end();
      controller.error(new Error("the client does not read"));
    }, PIECED_ANSWER_STALL_MS);
  };
  return new ReadableStream<Uint8Array>({
    start: watchStall,
    pull(controller) {
      if (isOver) return;
      try {
        const { done, value } = pieces.next();
        if (done) {
          end();
          controller.close();
          return;
        }
        watchStall(controller);
        controller.enqueue(value);
      } catch (reason) {
        end();
        controller.error(reason);
      }
    },
    cancel: end,
  }, { highWaterMark: 0 });
}

/** The UTF-8 bytes of pieces of text. */
export function* encoded(pieces: Generator<string>): Generator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const piece of pieces) yield encoder.encode(piece);
}

/** The bytes of a message as they are. Each piece is the taker's. */
export function* messagePieces(body: MessageBody): Generator<Uint8Array> {
  for (let left = body.size; left > 0;) {
    const piece = new Uint8Array(Math.min(left, JSON_PIECE_SIZE));
    let filled = 0;
    while (filled < piece.length) filled += body.read(piece.subarray(filled));
    left -= filled;
    yield piece;
  }
}
