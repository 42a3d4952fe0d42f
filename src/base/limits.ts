/**
 * Every bound of the server, by name, with what happens when it is reached. A queue, cache, loop or retry without a line
 * here is a defect. (Bounds that an operator sets are flags; their defaults are in cli/flags.)
 */

/** Largest safe revision, version or limit from a client: int64 values beyond are clamped where they are only compared. */
export const CLAMP_MAX = Number.MAX_SAFE_INTEGER;

/**
 * Levels of nested transactions that are decoded, well within the stack of every runtime. Deeper ones are answered "too
 * many operations", which `--max-txn-ops` says far earlier.
 */
export const TXN_DEPTH_MAX = 1000;

/** Deeper still it is malformed input: Go's parser counts two messages a level and stops at 10,000. */
export const TXN_DEPTH_VALID_MAX = 4999;

// rpc/http2: what one connection, and all connections together, may make the server hold or do.

/** Bytes that all connections of a server may have buffered; above it a call is answered RESOURCE_EXHAUSTED and new streams are refused. */
export const RPC_BUFFERED_BYTES_MAX = 256 * 1024 * 1024;
/** One connection gets as much of it as it leaves to others; of amounts up to this size, so many times as much. */
export const BUDGET_SMALL_SIZE = 16 * 1024;
export const BUDGET_SMALL_FACTOR = 4;
/** What an open stream counts in that budget beside its buffers (its header list's size, if that is more): bounds streams too. */
export const HTTP2_STREAM_COST = 1024;
/** Streams open at once on a connection unless the operator says otherwise; one more is refused (REFUSED_STREAM). */
export const HTTP2_CONCURRENT_STREAMS_MAX = 0xffff_ffff;
/** Size of a request's header list (grpc-go: 16 MiB); above it the stream is reset (FRAME_SIZE_ERROR, as grpc-go does). */
export const HTTP2_HEADER_LIST_SIZE_MAX = 256 * 1024;
/** Size of a header block as it arrives, coded; above it the connection ends (ENHANCE_YOUR_CALM), as its header table is lost. */
export const HTTP2_HEADER_BLOCK_SIZE_MAX = 256 * 1024;
/** CONTINUATION frames of one header block; one more ends the connection (ENHANCE_YOUR_CALM). */
export const HTTP2_CONTINUATION_FRAMES_MAX = 64;
/** What a client may send on a stream before the handler has taken it; it waits for WINDOW_UPDATE. */
export const HTTP2_STREAM_WINDOW_SIZE = 1024 * 1024;
/** The same for all streams of a connection. */
export const HTTP2_CONNECTION_WINDOW_SIZE = 8 * 1024 * 1024;
/** Largest integer in a header block (RFC 7541, section 5.1): larger ones end the connection (COMPRESSION_ERROR). */
export const HPACK_INTEGER_MAX = 0x0fff_ffff;
/** Header blocks remembered for a connection, and the size up to which one is; when full all are forgotten. */
export const HPACK_CACHED_BLOCKS_MAX = 64;
export const HPACK_CACHED_BLOCK_SIZE_MAX = 128;
/** Output buffers kept for reuse by a server; more are left to the garbage collector. */
export const HTTP2_OUTPUT_BUFFERS_KEPT_MAX = 64;
export const HTTP2_OUTPUT_BUFFER_SIZE = 64 * 1024;
/** Written to one connection in one turn of the event loop; the rest follows in later turns. */
export const HTTP2_TURN_WRITE_MAX = 256 * 1024;
/** One stream's share of a connection before the next stream's turn comes. */
export const HTTP2_SLICE_SIZE = 16 * 1024;
/** A message up to this size goes straight to an idle connection's output; larger ones take their turns. */
export const HTTP2_DIRECT_WRITE_MAX = 64 * 1024;
/** Output waiting for the socket above which a connection is no longer read: a client that does not read may not ask either. */
export const HTTP2_OUTPUT_BACKLOG_MAX = 256 * 1024;
/** Milliseconds spent on one connection's input in a turn; the rest is read in a later turn. */
export const HTTP2_TURN_READ_MS = 5;
/**
 * Frames that cost the server work and serve no call (PING, SETTINGS, PRIORITY, empty DATA, our own errors): a connection
 * starts with this credit, regains so much a second, for each call, and 1 for each DATA frame either way (grpc-go pings
 * while it receives, to measure the line); without credit it ends (ENHANCE_YOUR_CALM).
 */
export const HTTP2_CONTROL_CREDIT_MAX = 10_000;
export const HTTP2_CONTROL_CREDIT_PER_SECOND = 1000;
export const HTTP2_CONTROL_CREDIT_PER_CALL = 4;
/** WINDOW_UPDATEs by less cost credit too; larger ones are bounded by what we sent, as windows end at 2^31 - 1. */
export const HTTP2_WINDOW_UPDATE_FREE_MIN = 1024;
/** What a SETTINGS frame or an error costs of it; the others cost 1. */
export const HTTP2_CONTROL_COST_HIGH = 10;
/** Streams that the client reset before any answer: credit and regain a second; without credit the connection ends (ENHANCE_YOUR_CALM). */
export const HTTP2_RESET_CREDIT_MAX = 10_000;
export const HTTP2_RESET_CREDIT_PER_SECOND = 1000;
/** Closed streams remembered, to tell late frames from invalid ones; frames for older ones count as late. */
export const HTTP2_CLOSED_STREAMS_KEPT = 128;
/** A connection without preface and SETTINGS after so long is dropped. */
export const HTTP2_PREFACE_TIMEOUT_MS = 20_000;
/** From the first GOAWAY of a drain to the second, if the client does not answer the ping between them. */
export const HTTP2_DRAIN_PING_TIMEOUT_MS = 1000;
/** The answer to a bandwidth probe that no data takes along is sent after one to two of these. */
export const HTTP2_PROBE_TICK_MS = 10;
/** How long a connection that we ended waits for the client to end it too, so that it can read our last words. */
export const HTTP2_LINGER_MS = 1000;
/** A stream's queue above which `send` asks the sender to hold back, and the size at which it may go on. */
export const HTTP2_SEND_HIGH_WATER = 256 * 1024;
export const HTTP2_SEND_LOW_WATER = 64 * 1024;
/** One output buffer that the client's socket does not take for so long: the connection is dropped (grpc-go: TCP_USER_TIMEOUT, 20 s). */
export const HTTP2_WRITE_STALL_MS = 60_000;
/** A queue that the client's window has not let move for so long is dropped with its stream (CANCEL), unless it is a stream of messages. */
export const HTTP2_REPLY_STALL_MS = 5 * 60_000;

// rpc/grpc

/** Size up to which a message is compressed in one go; larger ones are sent as they are, which gRPC allows for each message. */
export const GRPC_COMPRESSED_MESSAGE_MAX = 1024 * 1024;
/** First allocation for a message that spans frames; it doubles as bytes really arrive, whatever size the client announced. */
export const GRPC_MESSAGE_BUFFER_FIRST = 1024;

/**
 * Work done in one step of a resumable job, in the store's units (about 0.2 us each, so a step takes about a
 * millisecond): then ticks, appends and other requests get their turn.
 */
export const JOB_STEP_BUDGET = 4096;

/** Up to this many bytes of records are copied into a response at once; more stay in the store until they can be sent. */
export const RESPONSE_COPY_SIZE_MAX = 64 * 1024;

/** Committed entries that wait to be applied; with more, new proposals are answered "too many requests" (as etcd). */
export const UNAPPLIED_ENTRIES_MAX = 5000;

/**
 * Proposals of other members, and bytes of them, that wait for the next leader while this one hands over, and for how long:
 * what there is no room for, and what has waited longer, is dropped, and its client told that it timed out (as by etcd).
 */
export const FORWARDED_HELD_MAX = 4096;
export const FORWARDED_HELD_SIZE_MAX = 64 * 1024 * 1024;
export const FORWARDED_HELD_MS_MAX = 5000;
/** Milliseconds for which a proposal that cannot be carried out is refused without a line in the log, after one with. */
export const PROPOSAL_COMPLAINT_MS = 60_000;
/** Bytes of proposals queued for the next append; beyond it new ones are answered "too many requests". */
export const PROPOSALS_SIZE_MAX = 256 * 1024 * 1024;

/** Bytes of committed entries that raft hands out at once. */
export const COMMITTED_SIZE_MAX = 16 * 1024 * 1024;

/** Bytes of entries in one message between members (etcd's figure); the rest goes into the next message. */
export const RAFT_MESSAGE_SIZE_MAX = 1024 * 1024;

/** Appends on their way to one member (etcd's figure); with as many, the next waits for an acknowledgement or a heartbeat. */
export const RAFT_INFLIGHT_MESSAGES_MAX = 512;

/** Reads that wait for a quorum to confirm their leader, or for the first commit of its term; of more, none is taken. */
export const RAFT_READS_MAX = 65_536;

/** Bytes of applied entries kept in memory for followers; older ones go even before their count is reached. */
export const LOG_MEMORY_SIZE_MAX = 64 * 1024 * 1024;

/** ... and kept for a member that a snapshot is on its way to; beyond, that member will need another one. */
export const LOG_HELD_SIZE_MAX = 256 * 1024 * 1024;

/** Messages from other members, and their bytes, that wait for the next turn; more are dropped, as if they had been lost. */
export const INBOX_MESSAGES_MAX = 4096;
export const INBOX_SIZE_MAX = 64 * 1024 * 1024;

/** Snapshots on their way to other members at once (etcd's figure); of another one raft is told that it failed. */
export const SNAPSHOT_SENDS_MAX = 16;
/** Snapshots being received at once; another one is refused, and its sender tries again. */
export const SNAPSHOT_RECEIVES_MAX = 2;
/** Bytes of a received snapshot gathered for one write. */
export const SNAPSHOT_RECEIVE_BLOCK_SIZE = 1024 * 1024;
/** Milliseconds for which the log is held after a snapshot has arrived, until its receiver has caught up (etcd's figure). */
export const SNAPSHOT_RELEASE_DELAY_MS = 30_000;

// peer/codec

/**
 * Bytes of one message from another member: an entry as large as `--max-request-bytes` lets one become, and then some (etcd
 * reads up to 512 MiB). One that is larger, or says so, ends its connection. Memory is taken only as bytes arrive.
 */
export const PEER_MESSAGE_SIZE_MAX = 128 * 1024 * 1024;
/** The same for the message ahead of a snapshot's database (etcd's figure). */
export const PEER_SNAPSHOT_HEAD_SIZE_MAX = 64 * 1024 * 1024;

/**
 * Membership changes that wait for a leader; more are answered "too many requests". Also those of other members that a leader
 * holds until it may make them; more are refused by raft.
 */
export const MEMBERSHIP_CHANGES_MAX = 64;

/** Streams that want a leader; closed ones among them are let go of when there are so many, and then at twice what is left. */
export const LEADER_STREAMS_PRUNED_AT_MIN = 64;

/** Requests that wait at once for this member to apply what is committed; more are told that it took too long. */
export const APPLIED_WAITS_MAX = 4096;

/** Body of a question about a lease (etcd's bound); a larger one is answered 413. */
export const LEASE_QUESTION_SIZE_MAX = 64 * 1024;
/**
 * Questions of other members that take work in proportion to what is stored (hashes, the keys of a lease) and are answered
 * at the same time; one more is answered 503, and asked again, or not counted.
 */
export const LONG_QUESTIONS_MAX = 16;

/** Milliseconds after which a turn of the member's loop stops taking up more work and lets others run. */
export const TURN_MS_MAX = 3;

/**
 * Log: bytes of one physical write. A larger append is split, each part durable before the next begins; so what an
 * interrupted write leaves behind is never longer, and recovery refuses what is.
 */
export const WAL_WRITE_SIZE_MAX = 8 << 20;

/** Log: bytes of the encoding buffer that are kept between appends. A larger append allocates, and lets go after. */
export const WAL_BUFFER_SIZE = 1 << 20;

/** Log: bytes of records that need no sync (commit indexes) waiting for the next append. More are written at once. */
export const WAL_UNSYNCED_SIZE_MAX = 128 << 10;

/** Log: bytes read at a time on start; between two reads the event loop runs. Grows for a record that is larger. */
export const WAL_READ_BLOCK_SIZE = 4 << 20;

// cli/log

/** Lines of one level and message written in one second; of those beyond, one in LOG_SAMPLE_THEREAFTER is (zap's figures, as etcd sets them). */
export const LOG_SAMPLE_FIRST = 100;
export const LOG_SAMPLE_THEREAFTER = 100;
/** Messages whose lines are counted; when full, all counts start again, so that at worst more is written. */
export const LOG_SAMPLE_MESSAGES_MAX = 4096;
/** Tries, a millisecond apart, to write a line to an output that takes no more; then lines are dropped and counted until it does. */
export const LOG_WRITE_TRIES = 20;

/** Leases that one second revokes (etcd's rate). When more expire together, a new primary spreads them over later seconds. */
export const LEASE_REVOKES_PER_SECOND = 1000;
/** Expired leases taken in one round; the rest waits for the next round, half a second later. */
export const LEASE_EXPIRED_MAX = LEASE_REVOKES_PER_SECOND / 2;
/** Remaining times proposed in one entry; the rest goes into the next entry. */
export const LEASE_CHECKPOINTS_MAX = 1000;

// io/rpc_local, rpc/connect and http: calls that do not come through the HTTP/2 engine.

/** Bytes a handler may queue on a streaming call from code; above it `send` returns false until the caller has taken enough. */
export const LOCAL_STREAM_HIGH_WATER = 1024 * 1024;
/** The handler is told to go on below this. */
export const LOCAL_STREAM_LOW_WATER = 256 * 1024;

/**
 * The store's slabs (src/mvcc): buffers of this size hold the records. A full one is followed by the next; how many there
 * may be is decided by the quota (`--quota-backend-bytes`), not here.
 */
export const SLAB_SIZE = 4 * 1024 * 1024;

/** A record above this gets a buffer of its own instead of leaving the end of a slab unused (at most an eighth). */
export const LARGE_RECORD_SIZE = SLAB_SIZE / 8;

/** Empty slabs kept for reuse; those freed above go back to the system at once. */
export const SLAB_POOL_MAX = 8;

/** Rows of the history per chunk; a full one is followed by the next. Ids inside a chunk fit in 16 bits. */
export const HISTORY_CHUNK_ROWS = 16384;

/** Keys or children of a node of the key index; a full one is split. */
export const INDEX_NODE_KEYS = 64;

/** Counts of the pages that follow a page, remembered for readers of old revisions; the oldest is forgotten. */
export const PAGE_COUNTS_MAX = 64;

/** Keys longer than this are not remembered with a page's count; the count is then made again. */
export const PAGE_COUNT_KEY_SIZE_MAX = 4096;

/** Compaction hashes remembered for HashKV, as in etcd; of more, those of the smallest revisions are forgotten. */
export const COMPACTION_HASHES_MAX = 10;
/** Times a message counts against the buffered bytes on its way through Connect or the gateway: read, decoded and encoded again. */
export const CONNECT_COPIES = 3;

/** Renewals of one keep-alive stream that wait for an answer; with more, the stream is not read. */
export const LEASE_RENEWALS_MAX = 1024;

/** Keys of a lease copied into a response in one step. */
export const LEASE_KEYS_PER_STEP = 2048;
/** Nesting of a JSON request (Go's decoder: 10,000), so that reading it cannot exhaust the stack; deeper is malformed. */
export const GATEWAY_JSON_DEPTH_MAX = 3001;
/** Size of a JSON request body, or of one message of a stream of them; more is answered RESOURCE_EXHAUSTED. (etcd reads on.) */
export const GATEWAY_BODY_SIZE_MAX = 16 * 1024 * 1024;

/** etcd's allowance beyond `--max-request-bytes` for a watch response before it is fragmented, and for a received message. */
export const WATCH_FRAGMENT_OVERHEAD = 512 * 1024;

// watch

/** Watch: bytes waiting in one stream's outbox. Above it, the watchers of the stream fall behind and catch up from history. */
export const WATCH_OUTBOX_SIZE_MAX = 1 << 20;
/** Watch: bytes waiting in all outboxes. Above it, every stream is given one response at a time. */
export const WATCH_QUEUED_SIZE_MAX = 256 << 20;
/** Watch: distinct revisions in one response of a watcher that catches up (etcd's figure); the rest goes into the next one. */
export const WATCH_BATCH_REVISIONS_MAX = 1000;
/** Watch: bytes after which a response of a watcher that catches up takes no further revision. */
export const WATCH_BATCH_SIZE = 128 << 10;
/** Watch: bytes of events encoded at once. A larger response is encoded while the client takes it. */
export const WATCH_BLOCK_SIZE_MAX = 256 << 10;
/** Watch: views of the assembly buffer that are kept, one for each message size below; for a larger message one is made. */
export const WATCH_VIEWS_MAX = 4096;
/** Watch: rows of one transaction delivered as it is published. For a larger one the watchers fall behind and catch up in steps. */
export const WATCH_PUBLISH_ROWS_MAX = 1024;
/** Watch: rows gathered for watchers that catch up, over all keys and ranges. When full, all of them are delivered. */
export const WATCH_GATHERED_ROWS_MAX = 1 << 18;
/** Path and query of an HTTP request; a longer one is answered 414. */
export const HTTP_PATH_SIZE_MAX = 16 * 1024;
/** Header block of an HTTP/1.1 request (etcd: 1 MiB); a larger one is answered 431. */
export const HTTP_HEADER_SIZE_MAX = 64 * 1024;
/** Milliseconds a connection may take to send a request's header block, or stay idle before it (etcd: 5 min for the former); then it is closed. */
export const HTTP_HEADER_TIMEOUT_MS = 5 * 60 * 1000;
/** Connections held before the member is ready to serve; more are dropped. */
export const HTTP_EARLY_CONNECTIONS_MAX = 1024;
/** keelson.v1.Watch: milliseconds of silence after which a heartbeat is due whatever happens (15 s are promised)... */
export const BROWSER_WATCH_HEARTBEAT_MS = 12_000;
/** ... after which the watchers are asked how far they are, for the heartbeat to say it... */
export const BROWSER_WATCH_PROGRESS_MS = 9000;
/** ... and between looks at the clock. */
export const BROWSER_WATCH_TICK_MS = 1000;
/** Text of a large JSON answer that is made in one step, and the bytes of it read at once; the next step follows when the client has taken it. */
export const JSON_PIECE_SIZE = 64 * 1024;
/** Answers of Connect and the gateway above this are converted and sent piece by piece, below it whole. */
export const WHOLE_ANSWER_SIZE_MAX = 256 * 1024;
/** What an answer that is sent in pieces counts against the buffered bytes. */
export const PIECED_ANSWER_COST = 4 * JSON_PIECE_SIZE;
/** Milliseconds without the client taking anything of such an answer, after which it is given up and its rows are released. */
export const PIECED_ANSWER_STALL_MS = 5 * 60 * 1000;
/** Milliseconds of one turn of the event loop spent on such pieces, of all answers together; the rest follows in later turns. */
export const PIECED_ANSWER_TURN_MS = 2;
/** Milliseconds in which a client takes nothing of what its HTTP/1.1 connection has to send; then the connection is dropped. */
export const HTTP_WRITE_STALL_MS = 60_000;

// cli

/**
 * File descriptors kept from clients: as many as etcd keeps, or this share of all where that is more, as every segment of
 * the log stays open. Connections that would need one of these are closed as they come.
 */
export const DESCRIPTORS_RESERVED_MIN = 150;
export const DESCRIPTORS_RESERVED_FRACTION = 1 / 8;

/** Connections of other members, at most, and as a share of all descriptors; more are closed as they come (a peer takes about ten). */
export const PEER_CONNECTIONS_MAX = 256;
export const PEER_DESCRIPTORS_FRACTION = 1 / 16;

/** Maintenance.Snapshot: streams at once, each of which holds a file and two blocks; one more is answered RESOURCE_EXHAUSTED. */
export const SNAPSHOT_STREAMS_MAX = 16;
/** ... bytes read, hashed and queued in one turn; the next block follows when the client has taken enough of this one... */
export const SNAPSHOT_BLOCK_SIZE = 256 * 1024;
/** ... and milliseconds in which a client takes nothing of it; then the stream ends and the file is let go. */
export const SNAPSHOT_STALL_MS = 5 * 60 * 1000;
/** snapshot save: what the server may send before the tool has taken it; it waits for WINDOW_UPDATE. */
export const SNAPSHOT_CLIENT_WINDOW_SIZE = 4 * 1024 * 1024;
/** snapshot save: bytes written to the file at once... */
export const SNAPSHOT_WRITE_SIZE = 1024 * 1024;
/** ... and writes under way at once; with more, the stream is not read. */
export const SNAPSHOT_WRITES_MAX = 2;
/** snapshot save: size of one message (etcd's are little more than 32 KiB); a larger one ends the stream. */
export const SNAPSHOT_MESSAGE_SIZE_MAX = 16 * 1024 * 1024;
/** snapshot save: milliseconds between tries to connect, until --dial-timeout is over. */
export const SNAPSHOT_CONNECT_RETRY_MS = 200;
/** Tools that work on files: bytes read at once... */
export const FILE_READ_SIZE = 1024 * 1024;
/** ... bytes of the buffers that hold the rows of a file to be written anew; a full one is followed by the next... */
export const ROW_CHUNK_SIZE = 4 * 1024 * 1024;
/** ... rows and keys for which `hashkv` has room at first; it doubles when full... */
export const HASHED_ROWS_MIN = 65536;
/** ... and milliseconds between tries to lock a file, until --timeout is over. */
export const FILE_LOCK_RETRY_MS = 50;
/** Milliseconds between two drawings of a progress bar; what happens in between is not shown. */
export const PROGRESS_INTERVAL_MS = 100;

/** Content subtypes ("application/grpc+proto") that are echoed in answers; calls with further ones are answered without. */
export const GRPC_CONTENT_SUBTYPES_MAX = 16;

// member: what the store's space goes to

/** Key prefixes counted at once to find the largest; when full, the smaller half is forgotten. */
export const SURVEY_PREFIXES_MAX = 1024;
/** The largest of them that are named, in the log and as metrics. */
export const SURVEY_NAMED_MAX = 5;

// storage/bolt: database files

/** Bytes read at a time where a file is read in order, and those that one reader keeps; what was used longest ago goes. */
export const BOLT_READ_SIZE = 1 << 20;
export const BOLT_KEPT_SIZE_MAX = 8 << 20;
/** Bytes of rows visited in one step of a scan. */
export const BOLT_SCAN_STEP_SIZE = 256 * 1024;
/** Levels of a tree of pages; a file with more is damaged (a billion rows make nine of them at the least fan-out of ten). */
export const BOLT_DEPTH_MAX = 64;
/** Bytes of one node of a file, which has to be in memory at once; larger ones are refused. */
export const BOLT_NODE_SIZE_MAX = 1 << 30;
/** Problems that one check of a file tells of; it ends with the last of them. */
export const BOLT_PROBLEMS_MAX = 1000;
/** Bytes of a file being written that are gathered for one write; two such buffers take turns. */
export const BOLT_WRITE_SIZE = 1 << 20;
/** Rows looked at, and bytes of them copied, in one step of writing a file. */
export const BOLT_STEP_ROWS_MAX = 4096;
export const BOLT_STEP_SIZE = 256 * 1024;

// member: checkpoints

/**
 * A checkpoint is made when `--snapshot-count` entries have been applied since the last one, and the log has grown by so
 * many bytes or so much time has passed ...
 */
export const CHECKPOINT_LOG_SIZE = 16 << 20;
export const CHECKPOINT_INTERVAL_MS = 30_000;
/** ... and whatever the number of entries, when the log has grown by so many bytes: a restart replays no more. */
export const CHECKPOINT_LOG_SIZE_MAX = 128 << 20;
/** The database is written anew when it is this many times as large as it would be then ... */
export const CHECKPOINT_FILE_GROWTH_MAX = 2;
/** ... and some bytes larger: small files are not worth the trouble. */
export const CHECKPOINT_DEAD_SIZE_MIN = 1 << 20;
/** Wait after a checkpoint that failed; it doubles with each further failure, up to the second figure. */
export const CHECKPOINT_RETRY_MS = 1000;
export const CHECKPOINT_RETRY_MS_MAX = 60_000;
/** Milliseconds between two looks at files that may be purged (etcd's figure). */
export const PURGE_INTERVAL_MS = 30_000;

// peer/http: HTTP/1.1 between members

/** Header block of a request or an answer, or trailers; a larger one is answered 431, or fails the call. */
export const PEER_HTTP_HEAD_SIZE_MAX = 64 * 1024;
/** Extensions of one chunk's size; more end the connection. */
export const PEER_HTTP_EXTENSION_SIZE_MAX = 256;
/** Connections of one server; one more is dropped as it comes. */
export const PEER_HTTP_CONNECTIONS_MAX = 1024;
/** Milliseconds for a request's header block, from its first byte on; then the connection is dropped. */
export const PEER_HTTP_HEAD_TIMEOUT_MS = 30_000;
/** Milliseconds without a request, after which a server drops a connection (etcd's figure). */
export const PEER_HTTP_IDLE_TIMEOUT_MS = 5 * 60 * 1000;
/** Milliseconds between two reads of a request's body; then the connection is dropped. */
export const PEER_HTTP_BODY_TIMEOUT_MS = 60_000;
/** Milliseconds in which a peer takes nothing of what a server has to send; then the connection is dropped (etcd's figure). */
export const PEER_HTTP_STALL_MS = 5000;
/** Bytes waiting for a peer above which a writer is asked to hold back, and those at which it may go on. */
export const PEER_HTTP_HIGH_WATER = 256 * 1024;
export const PEER_HTTP_LOW_WATER = 64 * 1024;
/** Bytes gathered for one write; a larger piece gets a buffer of its own. Each connection keeps one such buffer. */
export const PEER_HTTP_SEGMENT_SIZE = 64 * 1024;
/** Bytes of a request's body that are read at once; two such blocks take turns. */
export const PEER_HTTP_BLOCK_SIZE = 512 * 1024;
/** Body bytes read on, for the connection's next request, of a request that was answered early; beyond, the connection ends. */
export const PEER_HTTP_DISCARD_SIZE_MAX = 256 * 1024;
/** How long a connection that a server ended waits for the client to end it too, so that it can read the last answer. */
export const PEER_HTTP_LINGER_MS = 1000;
/** Unused connections to one address that a client keeps, and for how long; others are closed. */
export const PEER_HTTP_IDLE_CONNECTIONS_MAX = 4;
export const PEER_HTTP_IDLE_CONNECTION_MS = 60_000;

// io: sockets

/**
 * Milliseconds without traffic after which the system asks the other end whether it is still there. A machine that has
 * lost its power says no more: whoever waits for its answer would wait for as long as it is willing to. A third of etcd's
 * figure: while a leader takes a snapshot to be under way, the member that it went to gets nothing else, back or not.
 */
export const TCP_KEEP_ALIVE_MS = 10_000;

// peer: what is on its way to other members, and what they may make this one hold

/** Messages, and bytes of them, that wait for a peer that is slow to read a stream; more are dropped and reported. */
export const PEER_STREAM_HELD_MAX = 4096;
export const PEER_STREAM_HELD_SIZE_MAX = 64 * 1024 * 1024;
/** Bytes of the buffer in which messages are encoded that are kept; after a larger message it is let go. */
export const PEER_WRITER_SIZE_MAX = 4 * 1024 * 1024;
/** Messages that wait to be posted to a peer that has no stream open (etcd's figure); more are dropped and reported. */
export const PEER_PIPELINE_QUEUE_MAX = 64;
/** ... and those being posted at once. */
export const PEER_PIPELINE_POSTS_MAX = 4;
/** Milliseconds from one try to open a stream to the next (etcd's figure). */
export const PEER_DIAL_RETRY_MS = 100;
/** Body of an answer to a raft message, a snapshot or a probe; a larger one counts as a failure. */
export const PEER_REPLY_SIZE_MAX = 64 * 1024;
/** Body of a question (etcd's figure); a larger one is answered 413. */
export const PEER_QUESTION_SIZE_MAX = 64 * 1024;
/** Body of an answer to one; a larger one counts as none. */
export const PEER_ANSWER_SIZE_MAX = 64 * 1024 * 1024;
/** Members that posted something and are not known yet, to be answered all the same; of more, none is answered. */
export const PEER_REMOTES_MAX = 64;
/** Addresses that such a member may name; with more it is not answered. */
export const PEER_REMOTE_URLS_MAX = 16;
/** Milliseconds in which a peer takes nothing of a snapshot; then it has failed. */
export const PEER_SNAPSHOT_STALL_MS = 30_000;
/** Milliseconds for a peer to bring the last of a snapshot to its disk and answer; then it has failed. */
export const PEER_SNAPSHOT_ANSWER_MS = 2 * 60_000;
/** Bytes of a snapshot that were received and wait for the disk, above which no more is read, and at which it goes on. */
export const PEER_SNAPSHOT_HELD_HIGH = 4 * 1024 * 1024;
export const PEER_SNAPSHOT_HELD_LOW = 1024 * 1024;
/** Milliseconds for which what was complained of is not complained of again, and complaints remembered; then all are forgotten. */
export const PEER_COMPLAINT_MS = 60_000;
export const PEER_COMPLAINTS_MAX = 256;
/** Bytes of posted messages and questions that are not complete yet, of all requests together; one more is answered 503. */
export const PEER_BODIES_SIZE_MAX = 256 * 1024 * 1024;
/** Peers of which there are figures; what concerns further ones is counted together, under no name. */
export const PEER_FIGURES_MAX = 1024;
/** Characters of what others say about themselves that go into a log. */
export const PEER_LOGGED_TEXT_MAX = 64;
/** Milliseconds that connections have for their last answers when the transport stops. */
export const PEER_STOP_MS = 300;
