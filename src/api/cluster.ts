import {
  MemberAddRequestSchema,
  MemberListRequestSchema,
  MemberPromoteRequestSchema,
  MemberRemoveRequestSchema,
  MemberUpdateRequestSchema,
} from "../gen/etcdserverpb/cluster_pb.ts";
import { utf8 } from "../base/bytes.ts";
import { WIRE_BYTES, WireWriter } from "../base/varint.ts";
import type { Method, UnaryCall } from "../io/rpc.ts";
import type { Member, ReconfigurationSettle } from "../member/mod.ts";
import { type Member as ClusterMember, parseUrls } from "../membership/mod.ts";
import { writeResponseHeader } from "../wire/mod.ts";
import { ApiError, fromMember, fromReconfiguration } from "./errors.ts";
import { decodeMessage, fail } from "./request.ts";

const SERVICE = "/etcdserverpb.Cluster/";

export function clusterService(member: Member): Method[] {
  const unary = (name: string, handle: (member: Member, call: UnaryCall, request: Uint8Array) => void): Method => ({
    kind: "unary",
    path: `${SERVICE}${name}`,
    handle: (call, request) => handle(member, call, request),
  });
  return [
    unary("MemberAdd", memberAdd),
    unary("MemberRemove", memberRemove),
    unary("MemberUpdate", memberUpdate),
    unary("MemberList", memberList),
    unary("MemberPromote", memberPromote),
  ];
}

function memberAdd(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { peerURLs, isLearner } = decodeMessage(MemberAddRequestSchema, bytes);
  const peerUrls = urlsOf(peerURLs)?.sort();
  if (peerUrls === undefined) return fail(call, ApiError.MEMBER_BAD_URLS);
  const id = member.addMember(peerUrls, isLearner, (members, error) => {
    if (error !== undefined) return fail(call, fromReconfiguration(error));
    const writer = beginResponse(member);
    writer.messageField(2, encodeMember({ id, name: "", peerUrls, clientUrls: [], isLearner }));
    writeMembers(writer, 3, members!);
    call.reply(writer.view());
  });
}

function memberRemove(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { ID } = decodeMessage(MemberRemoveRequestSchema, bytes);
  member.removeMember(ID, answering(member, call));
}

/**
 * URLs that nobody could be reached at are refused, as those of a new member are. (etcd takes any here, and then breaks
 * down on every member that reads them.)
 */
function memberUpdate(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { ID, peerURLs } = decodeMessage(MemberUpdateRequestSchema, bytes);
  const peerUrls = urlsOf(peerURLs);
  if (peerUrls !== undefined) member.updateMember(ID, peerUrls, answering(member, call));
  else if (member.membership.get(ID) === undefined) fail(call, fromReconfiguration("member_not_found"));
  else fail(call, ApiError.MEMBER_BAD_URLS);
}

function memberPromote(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { ID } = decodeMessage(MemberPromoteRequestSchema, bytes);
  member.promoteMember(ID, answering(member, call));
}

function memberList(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { linearizable } = decodeMessage(MemberListRequestSchema, bytes);
  if (!linearizable) return answerMembers(member, call, member.membership.list());
  member.linearizableRead((error) => {
    if (error === undefined) answerMembers(member, call, member.membership.list());
    else fail(call, fromMember(error));
  });
}

/** Answers with the members after a change. */
function answering(member: Member, call: UnaryCall): ReconfigurationSettle {
  return (members, error) => {
    if (error !== undefined) fail(call, fromReconfiguration(error));
    else answerMembers(member, call, members!);
  };
}

/** The responses of this service but one are the same message. */
function answerMembers(member: Member, call: UnaryCall, members: readonly ClusterMember[]): void {
  const writer = beginResponse(member);
  writeMembers(writer, 2, members);
  call.reply(writer.view());
}

/** Headers of this service carry no revision. */
function beginResponse(member: Member): WireWriter {
  const writer = new WireWriter();
  writeResponseHeader(writer, member.headerIdentity, 0, member.raftTerm);
  return writer;
}

function writeMembers(writer: WireWriter, field: number, members: readonly ClusterMember[]): void {
  for (const member of members) writer.messageField(field, encodeMember(member));
}

/** etcdserverpb.Member. */
function encodeMember(member: ClusterMember): Uint8Array {
  const writer = new WireWriter();
  writer.integer64Field(1, member.id);
  writer.bytesField(2, utf8(member.name));
  for (const url of member.peerUrls) writeText(writer, 3, url);
  for (const url of member.clientUrls) writeText(writer, 4, url);
  writer.boolField(5, member.isLearner);
  return writer.finish();
}

function writeText(writer: WireWriter, field: number, text: string): void {
  writer.tag(field, WIRE_BYTES);
  writer.lengthDelimited(utf8(text));
}

/** At least one, and each of a form in which members reach each other; undefined: they are not. */
function urlsOf(texts: readonly string[]): string[] | undefined {
  try {
    return texts.length === 0 ? undefined : texts.map((text) => parseUrls([text])[0].text);
  } catch {
    // What exactly is wrong with them etcd does not say either.
    return undefined;
  }
}
