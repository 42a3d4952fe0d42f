/**
 * Member to member: what a member needs of the way to its peers, what it offers them, and that way itself: etcd's protocol
 * over HTTP/1.1, in both directions.
 *
 * It knows nothing of what messages, snapshots and questions mean, of sockets, or of who belongs to the cluster beyond what
 * it is told. Nothing here reads a clock, sets a timer or opens a connection but through `io`.
 *
 * Whoever wants to receive opens the connection: a member asks each peer for two streams, one of appends and one of all
 * other messages, and the peer writes them into its answers. What there is no stream for is posted.
 *
 * Invariants
 * 1. Sending never waits and never fails out loud: what cannot be sent is dropped, and reported as unreachable.
 * 2. Nothing is handled on arrival: the handler queues.
 * 3. A message leaves on one way only, once: what a stream or a post has lost is raft's to send again, or nobody's.
 * 4. What the handler is given comes from a member of this cluster, for this member, and in the name of who sent it, as far
 *    as names are enough to tell.
 * 5. Whatever others send, what is kept of it is bounded in size and in time.
 *
 * Below: http/ (HTTP/1.1 over byte streams) and codec/ (the bytes of messages and streams).
 *
 * Read: transport; identity, admission, context; to a peer and from it: stream_kind, stream_writer, stream_reader, post,
 * pipeline, snapshot_post, prober, peer; to those who are not known yet: remotes; the port: routes with bodies, answering,
 * snapshot_intake and snapshot_pieces; question_call; peer_transport.
 */
export { PeerTransport, type PeerTransportParts } from "./peer_transport.ts";
export { PeerFigures, PeerStatistics } from "./peer_statistics.ts";
export { urlAsker } from "./question_call.ts";
export type { Answer, AskUrl, Question, SnapshotView, Transport, TransportHandler } from "./transport.ts";
