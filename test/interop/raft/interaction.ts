/** Runs the scripts of testdata: whole groups, directive by directive. */

import { create, toBinary } from "@bufbuild/protobuf";
import { EMPTY_BYTES, utf8 } from "../../../src/base/bytes.ts";
import { ConfChangeSchema, ConfChangeV2Schema } from "../../../src/gen/raftpb/raft_pb.ts";
import {
  ConfChangeTransition,
  EMPTY_CONF_STATE,
  EntryType,
  messageText,
  MessageType,
  messageTypeText,
  newMessage,
  roleText,
  trackerText,
} from "../../../src/raft/mod.ts";
import { parseConfChanges } from "../../raft/conf_change/notation.ts";
import { type Delivery, Group, outcomeText } from "./group.ts";
import type { GroupMember } from "./group_member.ts";
import { type Directive, unknown } from "./script.ts";

type Command = (group: Group, directive: Directive) => void;

/** A runner for the directives of one script: each returns what it prints. */
export function interactionRunner(): (directive: Directive) => string {
  const group = new Group();
  return (directive) => {
    const command = COMMANDS[directive.command];
    if (command === undefined) throw unknown("command", directive);
    command(group, directive);
    return group.output.isEmpty ? "ok" : group.output.take();
  };
}

const COMMANDS: Readonly<Record<string, Command>> = {
  "add-nodes": addMembers,
  "campaign": (group, directive) => firstMember(group, directive).raft.campaign(),
  "compact": compact,
  "deliver-msgs": deliver,
  "forget-leader": (group, directive) => firstMember(group, directive).raft.forgetLeader(),
  "log-level": (group, { args }) => setLevel(group, args[0].key),
  "process-append-thread": (group, directive) =>
    forEach(group, directive, "processing append thread", (member) => group.processAppend(member)),
  "process-apply-thread": (group, directive) =>
    forEach(group, directive, "processing apply thread", (member) => group.processApply(member)),
  "process-ready": (group, directive) =>
    forEach(group, directive, "handling Ready", (member) => group.processReady(member)),
  "propose": propose,
  "propose-conf-change": proposeConfChange,
  "raft-log": (group, directive) => group.printLog(firstMember(group, directive)),
  "raft-state": printStates,
  // Not among etcd's commands: our own stories use it.
  "read-index": readIndex,
  "report-unreachable": reportUnreachable,
  "send-snapshot": sendSnapshot,
  "set-randomized-election-timeout": setElectionTimeout,
  "stabilize": stabilize,
  "status": printStatus,
  "tick-election": (group, directive) => group.tickElection(firstMember(group, directive)),
  "tick-heartbeat": (group, directive) => group.tick(firstMember(group, directive), 1),
  "transfer-leadership": transferLeadership,
};

function addMembers(group: Group, directive: Directive): void {
  const values = namedValues(directive, ADD_MEMBERS_ARGUMENTS);
  const is = (name: string) => values.get(name)?.[0] === "true";
  const number = (name: string, otherwise: number) => Number(values.get(name)?.[0] ?? otherwise);
  const ids = (name: string) => (values.get(name) ?? []).map(BigInt);
  const confState = { ...EMPTY_CONF_STATE, voters: ids("voters"), learners: ids("learners") };
  const index = number("index", 0);
  group.add(Number(directive.args[0].key), {
    snapshot: { index, term: index === 0 ? 0 : 1, confState, data: EMPTY_BYTES },
    isAsync: is("async-storage-writes"),
    raft: {
      id: 0n,
      confState,
      preVote: is("prevote"),
      checkQuorum: is("checkquorum"),
      readMode: values.get("read-only")?.[0] === "lease-based" ? "lease" : "safe",
      stepDownOnRemoval: is("step-down-on-removal"),
      checksConfChanges: !is("disable-conf-change-validation"),
      committedSizeMax: number("max-committed-size-per-ready", Infinity),
      messageSizeMax: Infinity,
      inflightMessagesMax: number("inflight", 2 ** 31 - 1),
    },
  });
}

const ADD_MEMBERS_ARGUMENTS = [
  "voters",
  "learners",
  "index",
  "inflight",
  "async-storage-writes",
  "prevote",
  "checkquorum",
  "max-committed-size-per-ready",
  "disable-conf-change-validation",
  "read-only",
  "step-down-on-removal",
];

function compact(group: Group, directive: Directive): void {
  const member = firstMember(group, directive);
  const index = Number(directive.args[1].key);
  member.storage.compact(index);
  member.raft.log.compact(index);
  group.printLog(member);
}

function deliver(group: Group, directive: Directive): void {
  const values = namedValues(directive, ["drop", "type"]);
  const typeName = values.get("type")?.[0];
  const type = typeName === undefined ? undefined : messageTypeOf(typeName, directive);
  const deliveries: Delivery[] = [
    ...positional(directive).map((id) => ({ to: BigInt(id), isDropped: false, type })),
    ...(values.get("drop") ?? []).map((id) => ({ to: BigInt(id), isDropped: true, type })),
  ];
  if (group.deliver(deliveries) === 0) group.output.write("no messages\n");
}

function messageTypeOf(name: string, directive: Directive): MessageType {
  const type = Object.values(MessageType).find((candidate) => messageTypeText(candidate) === name);
  if (type === undefined) throw unknown(`message type ${name}`, directive);
  return type;
}

function setLevel(group: Group, level: string): void {
  if (!LEVELS.includes(level.toUpperCase())) throw new Error(`unknown log level ${level}`);
  group.output.isQuiet = level.toUpperCase() === "NONE";
}

const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"];

function propose(group: Group, directive: Directive): void {
  proposeEntry(group, firstMember(group, directive), utf8(directive.args[1].key), EntryType.NORMAL);
}

function proposeConfChange(group: Group, directive: Directive): void {
  const values = namedValues(directive, ["v1", "transition"]);
  const changes = parseConfChanges(directive.input).map(({ type, memberId }) => ({ type, nodeId: memberId }));
  const name = values.get("transition")?.[0] ?? "auto";
  const transition = TRANSITIONS[name];
  if (transition === undefined) throw unknown(`transition ${name}`, directive);
  const member = firstMember(group, directive);
  if (values.get("v1")?.[0] === "true") {
    if (changes.length !== 1 || name !== "auto") throw unknown("form of a change", directive);
    const data = toBinary(ConfChangeSchema, create(ConfChangeSchema, changes[0]));
    proposeEntry(group, member, data, EntryType.CONF_CHANGE);
  } else {
    const data = toBinary(ConfChangeV2Schema, create(ConfChangeV2Schema, { transition, changes }));
    proposeEntry(group, member, data, EntryType.CONF_CHANGE_V2);
  }
}

const TRANSITIONS: Readonly<Record<string, ConfChangeTransition>> = {
  auto: ConfChangeTransition.AUTO,
  implicit: ConfChangeTransition.JOINT_IMPLICIT,
  explicit: ConfChangeTransition.JOINT_EXPLICIT,
};

function proposeEntry(group: Group, { raft }: GroupMember, data: Uint8Array, type: EntryType): void {
  if (!raft.propose(data, type)) group.output.write(outcomeText("proposal dropped"));
  raft.replicate();
}

function printStates(group: Group): void {
  for (const { id, raft } of group.members) {
    const voter = raft.progress.isVoter(id) ? "(Voter)" : "(Non-Voter)";
    group.output.write(`${id}: ${roleText(raft.role)} ${voter} Term:${raft.term} Lead:${raft.leader}\n`);
  }
}

function printStatus(group: Group, directive: Directive): void {
  const { raft } = firstMember(group, directive);
  if (raft.role === "leader") group.output.write(trackerText(raft.progress));
}

function readIndex(group: Group, directive: Directive): void {
  firstMember(group, directive).raft.readIndex(Uint8Array.of(Number(directive.args[1].key)));
}

function reportUnreachable(group: Group, directive: Directive): void {
  const [on, id] = positional(directive);
  group.member(BigInt(on)).raft.reportUnreachable(BigInt(id));
}

function sendSnapshot(group: Group, directive: Directive): void {
  const [from, to] = positional(directive).map(BigInt);
  const { raft, snapshot } = group.member(from);
  const message = { ...newMessage(MessageType.SNAPSHOT, to), from, term: raft.term, snapshot };
  group.send(message);
  group.output.write(messageText(message));
}

function setElectionTimeout(group: Group, directive: Directive): void {
  firstMember(group, directive).electionTimeout = Number(namedValues(directive, ["timeout"]).get("timeout")![0]);
}

function stabilize(group: Group, directive: Directive): void {
  const level = namedValues(directive, ["log-level"]).get("log-level")?.[0];
  const { isQuiet } = group.output;
  if (level !== undefined) setLevel(group, level);
  const ids = positional(directive);
  group.stabilize(ids.length === 0 ? group.members : ids.map((id) => group.member(BigInt(id))));
  group.output.isQuiet = isQuiet;
}

function transferLeadership(group: Group, directive: Directive): void {
  const values = namedValues(directive, ["from", "to"]);
  group.member(BigInt(values.get("from")![0])).raft.transferLeader(BigInt(values.get("to")![0]));
}

/** Does it for every member named; for several, each under a line of its own. */
function forEach(group: Group, directive: Directive, what: string, action: (member: GroupMember) => void): void {
  const members = positional(directive).map((id) => group.member(BigInt(id)));
  if (members.length === 1) return action(members[0]);
  for (const member of members) {
    group.output.write(`> ${member.id} ${what}\n`);
    group.output.indent(() => action(member));
  }
}

function firstMember(group: Group, { args }: Directive): GroupMember {
  return group.member(BigInt(args[0].key));
}

function positional({ args }: Directive): string[] {
  return args.filter(({ values }) => values.length === 0).map(({ key }) => key);
}

/** The arguments with values, all of which must be known. */
function namedValues(directive: Directive, known: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const named = directive.args.filter(({ values }) => values.length > 0);
  const other = named.find(({ key }) => !known.includes(key));
  if (other !== undefined) throw unknown(`argument ${other.key}`, directive);
  return new Map(named.map(({ key, values }) => [key, values]));
}
