/**
 * Large unary answers, which go round the library: it would decode, encode and hold them whole. It is given an empty message
 * to send, and what it made of that is the frame in which the real one goes.
 */

import type { DescMessage } from "@bufbuild/protobuf";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import { concatBytes } from "../../base/bytes.ts";
import type { MessageBody } from "../../io/rpc.ts";
import { answerStream, encoded, messagePieces } from "./answer_stream.ts";
import { jsonPieces } from "./json_writer.ts";
import type { Reservation } from "./reservation.ts";

/** Flags and size of a gRPC-Web message (frozen). */
const ENVELOPE_SIZE = 5;

/** The library's answer with `body` in the place of its empty message. Closes the body, now or later. */
export async function largeResponse(
  descriptor: DescMessage,
  answer: UniversalServerResponse,
  body: MessageBody,
  reservation: Reservation,
): Promise<Response> {
  const end = () => {
    body.close();
    reservation.end();
  };
  const headers = new Headers(answer.header);
  const frame = await wholeBody(answer);
  if (answer.status !== 200) {
    // The call failed after all, by its deadline for example.
    end();
    return new Response(frame.slice(), { status: answer.status, headers });
  }
  const type = headers.get("content-type") ?? "";
  let pieces: Iterator<Uint8Array>;
  if (type.startsWith("application/grpc-web")) {
    pieces = envelopePieces(body, frame);
  } else if (type.startsWith("application/json")) {
    headers.delete("content-length");
    pieces = encoded(jsonPieces(descriptor, body, "json"));
  } else {
    headers.set("content-length", String(body.size));
    pieces = messagePieces(body);
  }
  return new Response(answerStream(pieces, end), { status: answer.status, headers });
}

/** `frame` holds the envelope of the empty message, and the one of the trailers, or the latter alone if the call failed. */
function* envelopePieces(body: MessageBody, frame: Uint8Array): Generator<Uint8Array> {
  const isFailed = frame[0] !== 0;
  if (!isFailed) {
    const envelope = new Uint8Array(ENVELOPE_SIZE);
    new DataView(envelope.buffer).setUint32(1, body.size);
    yield envelope;
    yield* messagePieces(body);
  }
  yield frame.subarray(isFailed ? 0 : ENVELOPE_SIZE);
}

async function wholeBody({ body }: UniversalServerResponse): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return concatBytes(chunks);
}
