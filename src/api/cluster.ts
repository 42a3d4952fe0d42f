import { MemberListRequestSchema } from "../gen/etcdserverpb/cluster_pb.ts";
import { utf8 } from "../base/bytes.ts";
import { WIRE_BYTES, WireWriter } from "../base/varint.ts";
import type { Method, UnaryCall } from "../io/rpc.ts";
import type { Member } from "../member/mod.ts";
import type { Member as ClusterMember } from "../membership/mod.ts";
import { writeResponseHeader } from "../wire/mod.ts";
import { fromMember, notBuilt } from "./errors.ts";
import { decodeMessage, fail } from "./request.ts";

const SERVICE = "/etcdserverpb.Cluster/";

export function clusterService(member: Member): Method[] {
  const later = (name: string): Method => ({
    kind: "unary",
    path: `${SERVICE}${name}`,
    handle: (call) => fail(call, notBuilt("changing the members of a cluster")),
  });
  return [
    { kind: "unary", path: `${SERVICE}MemberList`, handle: (call, request) => memberList(member, call, request) },
    ...["MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote"].map(later),
  ];
}

function memberList(member: Member, call: UnaryCall, bytes: Uint8Array): void {
  const { linearizable } = decodeMessage(MemberListRequestSchema, bytes);
  if (!linearizable) return answerMemberList(member, call);
  member.linearizableRead((error) => {
    if (error === undefined) answerMemberList(member, call);
    else fail(call, fromMember(error));
  });
}

function answerMemberList(member: Member, call: UnaryCall): void {
  const writer = new WireWriter();
  // Headers of this service carry no revision.
  writeResponseHeader(writer, member.headerIdentity, 0, member.raftTerm);
  for (const listed of member.membership.list()) writer.messageField(2, encodeMember(listed));
  call.reply(writer.view());
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
