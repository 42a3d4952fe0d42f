/**
 * Watching: who gets which event of the store's history, in what order and in what bytes. A hub serves all streams of one
 * store: watchers that are synced get the events of a revision as it is published; those that are behind, because they
 * started in the past or their client is slow, catch up from the history in steps.
 *
 * It knows nothing of calls, transports, authorization or clocks. A stream's owner takes finished WatchResponse bytes
 * from it while the transport accepts them.
 *
 * Invariants
 * 1. A watcher sees every event it wants, once, in the order of revisions; events of one revision come in one response,
 *    or in the consecutive fragments of one. Or it is told that compaction has taken some of them.
 * 2. An outbox holds WATCH_OUTBOX_SIZE_MAX bytes and one response at most. Nothing is queued per event beyond it: what a
 *    slow client has not taken stays in the history.
 * 3. The events of a response are encoded once for all watchers of the same key or range and the same options, and a
 *    single event once for all; a watcher adds its id when the transport takes the message.
 * 4. A watcher is in one place only: the list of its interest, of the sweep, of its full stream, or none.
 * 5. Nothing is called in the middle of `publish` or `step`: owners are told in `flush`.
 *
 * Not here: a limit on watchers (etcd has none; one takes some 250 bytes, and its key or range as much again if it
 * is the only one there), and anything that waits.
 *
 * Read: history, event, watcher, interest, batch, response, large_response, stream, catch_up, hub.
 */
export { type History } from "./history.ts";
export { WatchHub } from "./hub.ts";
export { CompactedError, type WatchBody } from "./large_response.ts";
export { type HeaderWriter } from "./response.ts";
export { type WatchCreateRequest, type WatchOwner, WatchStream, type WatchStreamOptions } from "./stream.ts";
