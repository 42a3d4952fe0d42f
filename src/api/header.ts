import { WireWriter } from "../base/varint.ts";
import type { Member } from "../member/mod.ts";
import { type Part, Parts, writeResponseHeader } from "../wire/mod.ts";
import type { UnaryCall } from "../io/rpc.ts";

/** One buffer for all small responses: a reply is copied before the next one is written. */
const scratch = new WireWriter(4096);

/**
 * Answers with a response header followed by the rest of the response. A revision of 0 is replaced by the store's current
 * one, as etcd does. `onClose` runs once the response needs nothing of the store any more.
 */
export function replyWithHeader(
  call: UnaryCall,
  member: Member,
  revision: number,
  body: readonly Part[],
  onClose?: () => void,
): void {
  scratch.reset();
  writeHeader(scratch, member, revision);
  let isSmall = true;
  for (const part of body) {
    if (part instanceof Uint8Array && part.length <= SMALL_PART_SIZE_MAX) continue;
    isSmall = false;
  }
  if (!isSmall) {
    const parts = new Parts([scratch.finish(), ...body], onClose);
    call.replyBody(parts);
    return;
  }
  for (const part of body) scratch.raw(part as Uint8Array);
  call.reply(scratch.view());
  onClose?.();
}

/** Writes the header as field 1, with the current revision where `revision` is 0. */
export function writeHeader(writer: WireWriter, member: Member, revision: number): void {
  writeResponseHeader(writer, member.headerIdentity, revision || member.keyspace.store.revision, member.raftTerm);
}

const SMALL_PART_SIZE_MAX = 256 * 1024;

/**
 * Headers as field 1, for watch responses: many of them carry the same revision. A revision of 0 is left out. The bytes
 * are valid until the next call.
 */
export function cachedHeader(member: Member): (revision: number) => Uint8Array {
  const writer = new WireWriter(64);
  let cachedRevision = -1;
  let cachedTerm = -1;
  return (revision) => {
    const term = member.raftTerm;
    if (revision !== cachedRevision || term !== cachedTerm) {
      cachedRevision = revision;
      cachedTerm = term;
      writer.reset();
      writeResponseHeader(writer, member.headerIdentity, revision, term);
    }
    return writer.view();
  };
}
