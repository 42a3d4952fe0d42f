import { bytesFromLatin1 } from "../base/bytes.ts";
import type { Call, Method, StreamCall, UnaryCall } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import { decodeRangeRequest } from "../wire/mod.ts";
import { ApiError } from "./errors.ts";
import { LeaderlessStreams } from "./leaderless_streams.ts";
import { decode } from "./request.ts";

const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** What a member without a vote serves; of ranges, those that need nobody else. */
const LEARNER_UNARY = "/etcdserverpb.Maintenance/Status";
const LEARNER_STREAM = "/etcdserverpb.Maintenance/Snapshot";
const RANGE = "/etcdserverpb.KV/Range";

/**
 * The same methods, refusing calls that etcd refuses for what this member is, or for their metadata, in its order, before
 * the request is looked at.
 */
export function withMetadataChecks(methods: readonly Method[], member: Member): Method[] {
  const leaderless = new LeaderlessStreams(member);
  return methods.map((method): Method => {
    // One case per shape of a call: their handlers differ in type.
    switch (method.kind) {
      case "unary": {
        const handle = (call: UnaryCall, request: Uint8Array) => {
          if (member.isLearner) checkLearnerUnary(method.path, request);
          check(call, member);
          return method.handle(call, request);
        };
        return { ...method, handle };
      }
      case "server_streaming": {
        const handle = (call: StreamCall, request: Uint8Array) => {
          checkStream(call, member, leaderless);
          return method.handle(call, request);
        };
        return { ...method, handle };
      }
      default: {
        const handle = (call: StreamCall) => {
          checkStream(call, member, leaderless);
          return method.handle(call);
        };
        return { ...method, handle };
      }
    }
  });
}

/** These three throw what the call is refused with. */
function checkLearnerUnary(path: string, request: Uint8Array): void {
  if (path === LEARNER_UNARY || path === RANGE && decode(decodeRangeRequest, request).serializable) return;
  throw ApiError.LEARNER_UNSUPPORTED;
}

function checkStream(call: StreamCall, member: Member, leaderless: LeaderlessStreams): void {
  if (member.isLearner && call.path !== LEARNER_STREAM) throw ApiError.LEARNER_UNSUPPORTED;
  check(call, member);
  // What a snapshot holds was decided when it began.
  if (wantsLeader(call) && call.path !== LEARNER_STREAM) leaderless.add(call);
}

/** What tells of the server itself, and of nobody's data. */
const OPEN_TO_ALL = "/grpc.";

function check(call: Call, member: Member): void {
  if (member.keyspace.auth.isEnabled && !call.path.startsWith(OPEN_TO_ALL)) throw ApiError.AUTH_NOT_ENFORCED;
  const { metadata } = call;
  const version = metadata.get("client-api-version");
  if (version !== undefined && !isUtf8(version)) throw ApiError.INVALID_CLIENT_API_VERSION;
  if (wantsLeader(call) && member.raftStatus.leader === 0n) throw ApiError.NO_LEADER;
}

function wantsLeader({ metadata }: Call): boolean {
  return metadata.get("hasleader") === "true";
}

/** Metadata arrives as one UTF-16 unit per byte. */
function isUtf8(latin1Text: string): boolean {
  for (let i = 0; i < latin1Text.length; i++) {
    if (latin1Text.charCodeAt(i) < 0x80) continue;
    try {
      strictDecoder.decode(bytesFromLatin1(latin1Text));
      return true;
    } catch (error) {
      if (error instanceof TypeError) return false;
      throw error;
    }
  }
  return true;
}
