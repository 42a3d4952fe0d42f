/**
 * The bytes of etcd's peer protocol: raft messages and the three ways in which they follow one another on a connection.
 * Written so that etcd 3.5 to 3.7 read it; reads what any of them writes.
 *
 * It knows nothing of HTTP, of who sends, of clocks, or of what a message means beyond its shape.
 *
 * Invariants
 * 1. Whatever the bytes are, a decoder gives messages or throws `CodecError`, in time and space linear in what it was given.
 *    After an error it is not used again: the position in the stream is lost.
 * 2. A decoded message depends on no buffer of the caller's: `entries[].data` and `context` are views of a buffer that
 *    belongs to the message alone.
 * 3. Messages that do not travel between members (raft's local ones) are refused, a snapshot everywhere but at the head of
 *    its database; the entries of an APPEND follow its position without a gap, in terms that do not decrease.
 * 4. An entry's data is copied once on its way out (into the output buffer), and once on its way in.
 *
 * Writers append to a `WireWriter` (src/base/varint.ts): one for many messages, `reset` once its bytes have been taken.
 *
 * Read: error, message, frame; message_stream, append_stream, snapshot_body.
 */
export { AppendStreamDecoder, AppendStreamEncoder } from "./append_stream.ts";
export { CodecError } from "./error.ts";
export { decodeMessage, writeMessage } from "./message.ts";
export { MessageStreamDecoder, writeFramedMessage, writeLinkHeartbeat } from "./message_stream.ts";
export { SnapshotBodyDecoder, writeSnapshotHead } from "./snapshot_body.ts";
