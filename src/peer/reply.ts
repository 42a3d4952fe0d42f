/** Answers to requests on the peer port. */

import { utf8 } from "../base/bytes.ts";
import type { HttpExchange, HttpField } from "../io/net.ts";

/** As Go's http.Error writes it. */
export function replyText(
  exchange: HttpExchange,
  status: number,
  text: string,
  fields: readonly HttpField[] = [],
): void {
  const nosniff: HttpField = ["x-content-type-options", "nosniff"];
  reply(exchange, status, "text/plain; charset=utf-8", utf8(`${text}\n`), [...fields, nosniff]);
}

export function reply(
  exchange: HttpExchange,
  status: number,
  contentType: string,
  body: Uint8Array,
  fields: readonly HttpField[],
): void {
  if (exchange.isClosed) return;
  const type: readonly HttpField[] = contentType === "" ? [] : [["content-type", contentType]];
  const length: readonly HttpField[] = status === 204 ? [] : [["content-length", String(body.length)]];
  exchange.respond(status, [...fields, ...type, ...length]);
  if (body.length > 0) exchange.write(body);
  exchange.end();
}
