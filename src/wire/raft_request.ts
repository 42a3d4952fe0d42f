/**
 * etcdserverpb.InternalRaftRequest, the content of a normal log entry (frozen: on disk and between members):
 *
 *     [operation: tag, length, the client's request as it came]  [header(100): tag, length, { ID(1), ... }]
 *
 * The request is copied as received: what the log holds is what the client sent, and it is encoded once.
 */
import { utf8Text } from "../base/bytes.ts";
import { varintSize, WireReader, wireTag, writeVarint } from "../base/varint.ts";
import { WIRE_BYTES } from "../base/varint.ts";

/** Field numbers of the operations in InternalRaftRequest. */
export const RaftOperation = {
  /** A request of the API before this one: see `v2_request.ts`. The field is gone since etcd 3.6. */
  V2: 2,
  RANGE: 3,
  PUT: 4,
  DELETE_RANGE: 5,
  TXN: 6,
  COMPACTION: 7,
  LEASE_GRANT: 8,
  LEASE_REVOKE: 9,
  ALARM: 10,
  LEASE_CHECKPOINT: 11,
  AUTH_ENABLE: 1000,
  AUTH_DISABLE: 1011,
  AUTHENTICATE: 1012,
  AUTH_STATUS: 1013,
  AUTH_USER_ADD: 1100,
  AUTH_USER_DELETE: 1101,
  AUTH_USER_GET: 1102,
  AUTH_USER_CHANGE_PASSWORD: 1103,
  AUTH_USER_GRANT_ROLE: 1104,
  AUTH_USER_REVOKE_ROLE: 1105,
  AUTH_USER_LIST: 1106,
  AUTH_ROLE_LIST: 1107,
  AUTH_ROLE_ADD: 1200,
  AUTH_ROLE_DELETE: 1201,
  AUTH_ROLE_GET: 1202,
  AUTH_ROLE_GRANT_PERMISSION: 1203,
  AUTH_ROLE_REVOKE_PERMISSION: 1204,
  CLUSTER_VERSION_SET: 1300,
  CLUSTER_MEMBER_ATTR_SET: 1301,
  DOWNGRADE_INFO_SET: 1302,
  /** For tests of etcd's own version detection; it does nothing. */
  DOWNGRADE_VERSION_TEST: 9900,
} as const;

const FIELD_ID = 1;
const FIELD_HEADER = 100;
const FIELD_USERNAME = 2;
const FIELD_AUTH_REVISION = 3;
const TWO_48 = 2 ** 48;

/**
 * A request id as etcd makes them: 16 bits of the member's id, then 48 bits of time and counter. Two numbers instead of a
 * bigint, since every write carries one.
 */
export interface RequestId {
  /** The low 16 bits of the member id. */
  readonly member: number;
  /** 48 bits. */
  readonly sequence: number;
}

export interface RaftRequest {
  /** A RaftOperation, or another field number that this version does not know; 0 when there is none. */
  operation: number;
  /** The operation's message, a view of the entry. */
  body: Uint8Array;
  member: number;
  sequence: number;
  /** Who asked for it: empty unless access control was enabled. */
  username: string;
  /** The auth revision at which the user's permissions were looked at before it was proposed. */
  authRevision: number;
}

/** Encodes one entry. Only the id of the header is written: user and auth revision come with access control. */
export function encodeRaftRequest(operation: number, body: Uint8Array, id: RequestId): Uint8Array {
  const operationTag = wireTag(operation, WIRE_BYTES);
  const idSize = requestIdSize(id);
  const size = varintSize(operationTag) + varintSize(body.length) + body.length + 2 + 1 + 1 + idSize;
  const bytes = new Uint8Array(size);
  let offset = writeVarint(bytes, 0, operationTag);
  offset = writeVarint(bytes, offset, body.length);
  bytes.set(body, offset);
  offset = writeVarint(bytes, offset + body.length, wireTag(FIELD_HEADER, WIRE_BYTES));
  bytes[offset++] = 1 + idSize;
  bytes[offset++] = wireTag(FIELD_ID, 0);
  writeRequestId(bytes, offset, id);
  return bytes;
}

/** Decodes one entry. Throws WireError when it is not an InternalRaftRequest, nor what was one before there were any. */
export function decodeRaftRequest(bytes: Uint8Array): RaftRequest {
  const reader = new WireReader(bytes);
  const request: RaftRequest = { operation: 0, body: bytes, member: 0, sequence: 0, username: "", authRevision: 0 };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = tag >>> 3;
    if (field === FIELD_HEADER) readHeader(reader, request);
    else if (isBareV2Request(request.operation, field)) return { ...request, body: bytes };
    else if ((tag & 7) === WIRE_BYTES) {
      request.operation = field;
      request.body = reader.view();
    } else reader.skip(tag);
  }
  return request;
}

function readHeader(outer: WireReader, request: RaftRequest): void {
  const length = outer.length();
  const end = outer.position + length;
  const bytes = outer.bytes;
  let position = outer.position;
  outer.position = end;
  // The common form, exactly as written above, without building a bigint.
  if (position < end && bytes[position] === wireTag(FIELD_ID, 0)) {
    position++;
    let low = 0;
    let scale = 1;
    let high = 0;
    for (let shift = 0; position < end && shift < 70; shift += 7) {
      const byte = bytes[position++];
      const bits = byte & 0x7f;
      if (shift < 42) {
        low += bits * scale;
        scale *= 128;
      } else if (shift === 42) {
        low += (bits & 0x3f) * scale;
        high = bits >>> 6;
      } else high += bits * 2 ** (shift - 48);
      if (byte < 0x80) break;
    }
    request.sequence = low;
    request.member = high % 65536;
  }
  if (position < end) readRequester(new WireReader(bytes, position, end), request);
}

function readRequester(reader: WireReader, request: RaftRequest): void {
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === wireTag(FIELD_USERNAME, WIRE_BYTES)) request.username = utf8Text(reader.view());
    else if (tag === wireTag(FIELD_AUTH_REVISION, 0)) request.authRevision = reader.uint64();
    else reader.skip(tag);
  }
}

/**
 * Until 3.5 etcd puts a v2 request into an entry of its own, without anything around it. Its method (2) is always followed
 * by its path (3), and no entry has two operations.
 */
function isBareV2Request(operation: number, field: number): boolean {
  return operation === RaftOperation.V2 && field === RaftOperation.RANGE;
}

function requestIdSize(id: RequestId): number {
  // 48 bits take at most 7 bytes; with the member's 16 bits on top, up to 10.
  if (id.member === 0) return varintSize(id.sequence);
  let high = id.member * 64 + Math.floor(id.sequence / (TWO_48 / 64));
  let size = 6;
  do {
    high = Math.floor(high / 128);
    size++;
  } while (high > 0);
  return size;
}

function writeRequestId(target: Uint8Array, offset: number, id: RequestId): number {
  if (id.member === 0) return writeVarint(target, offset, id.sequence);
  // Six groups of seven bits from the sequence; then its top six bits with the member's sixteen above them.
  const boundary = TWO_48 / 64;
  const top = Math.floor(id.sequence / boundary);
  let low = id.sequence - top * boundary;
  for (let i = 0; i < 6; i++) {
    const quotient = Math.floor(low / 128);
    target[offset++] = (low - quotient * 128) | 0x80;
    low = quotient;
  }
  return writeVarint(target, offset, id.member * 64 + top);
}
