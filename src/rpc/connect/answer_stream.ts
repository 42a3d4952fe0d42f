/** Response bodies that are made while the client reads them. */

import { setImmediate } from "node:timers";
import { JSON_PIECE_SIZE, PIECED_ANSWER_STALL_MS, PIECED_ANSWER_TURN_MS } from "../../base/limits.ts";
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
    pull: (controller) =>
      inTurn(() => {
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
      }),
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

/** Pieces to be made, of all answers. */
let waiting: (() => void)[] = [];
let isScheduled = false;

/**
 * Runs `make` in a later turn of the event loop, with a bound on what such work takes of a turn. A fast client takes each
 * piece at once, so that without this a large answer would be made and sent in a single turn.
 */
function inTurn(make: () => void): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(() => {
      make();
      resolve();
    });
    schedule();
  });
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(makeSome);
}

function makeSome(): void {
  isScheduled = false;
  const untilMs = performance.now() + PIECED_ANSWER_TURN_MS;
  const due = waiting;
  waiting = [];
  let made = 0;
  while (made < due.length && (made === 0 || performance.now() < untilMs)) due[made++]();
  // What was left goes before what came meanwhile.
  waiting = [...due.slice(made), ...waiting];
  if (waiting.length > 0) schedule();
}
