import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  type DescEnum,
  type DescEnumValue,
  type DescExtension,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescService,
  getOption,
  hasOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { file_authpb_auth } from "../../src/gen/authpb/auth_pb.ts";
import { file_etcdserverpb_auth } from "../../src/gen/etcdserverpb/auth_pb.ts";
import { file_etcdserverpb_cluster } from "../../src/gen/etcdserverpb/cluster_pb.ts";
import { file_etcdserverpb_header } from "../../src/gen/etcdserverpb/header_pb.ts";
import { file_etcdserverpb_kv } from "../../src/gen/etcdserverpb/kv_pb.ts";
import { file_etcdserverpb_lease } from "../../src/gen/etcdserverpb/lease_pb.ts";
import { file_etcdserverpb_maintenance } from "../../src/gen/etcdserverpb/maintenance_pb.ts";
import { file_etcdserverpb_metadata } from "../../src/gen/etcdserverpb/metadata_pb.ts";
import { file_etcdserverpb_raft_internal } from "../../src/gen/etcdserverpb/raft_internal_pb.ts";
import { file_etcdserverpb_watch } from "../../src/gen/etcdserverpb/watch_pb.ts";
import { file_google_rpc_status } from "../../src/gen/google/rpc/status_pb.ts";
import { file_grpc_health_v1_health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { file_grpc_reflection_v1_reflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { file_leasepb_lease } from "../../src/gen/leasepb/lease_pb.ts";
import { file_membershippb_membership } from "../../src/gen/membershippb/membership_pb.ts";
import { file_mvccpb_kv } from "../../src/gen/mvccpb/kv_pb.ts";
import { file_raftpb_raft } from "../../src/gen/raftpb/raft_pb.ts";
import { file_snappb_snap } from "../../src/gen/snappb/snap_pb.ts";
import { file_v3electionpb_election } from "../../src/gen/v3electionpb/election_pb.ts";
import { file_v3lockpb_lock } from "../../src/gen/v3lockpb/lock_pb.ts";
import {
  etcd_version_enum,
  etcd_version_enum_value,
  etcd_version_field,
  etcd_version_msg,
  file_versionpb_version,
} from "../../src/gen/versionpb/version_pb.ts";
import { file_walpb_record } from "../../src/gen/walpb/record_pb.ts";

const FILES: DescFile[] = [
  file_authpb_auth,
  file_etcdserverpb_auth,
  file_etcdserverpb_cluster,
  file_etcdserverpb_header,
  file_etcdserverpb_kv,
  file_etcdserverpb_lease,
  file_etcdserverpb_maintenance,
  file_etcdserverpb_metadata,
  file_etcdserverpb_raft_internal,
  file_etcdserverpb_watch,
  file_google_rpc_status,
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
  file_leasepb_lease,
  file_membershippb_membership,
  file_mvccpb_kv,
  file_raftpb_raft,
  file_snappb_snap,
  file_v3electionpb_election,
  file_v3lockpb_lock,
  file_versionpb_version,
  file_walpb_record,
];

const SYNTAX: Record<number, string> = { 998: "proto2", 999: "proto3" };

function scalarName(type: ScalarType): string {
  return ScalarType[type].toLowerCase();
}

function typeName(field: DescField | DescExtension): string {
  if (field.message) return field.message.typeName;
  if (field.enum) return field.enum.typeName;
  return scalarName(field.scalar!);
}

function fieldLine(field: DescField): string {
  if (field.fieldKind === "map") {
    // Only the health service has a map; the table names the entry message that protobuf makes up for it.
    return `  ${field.number} ${field.name} ${field.parent.typeName}.StatusesEntry map\n`;
  }
  let line = `  ${field.number} ${field.name} ${typeName(field)}`;
  if (field.fieldKind === "list") line += " repeated";
  if (field.fieldKind === "list" && field.packed) line += " packed";
  if (field.oneof) line += ` in ${field.oneof.name}`;
  if (hasOption(field, etcd_version_field)) line += ` since ${getOption(field, etcd_version_field)}`;
  return `${line}\n`;
}

function messageBlocks(message: DescMessage): string[] {
  const since = hasOption(message, etcd_version_msg) ? ` since ${getOption(message, etcd_version_msg)}` : "";
  const fields = [...message.fields].sort((a, b) => a.number - b.number);
  const blocks = [
    `message ${message.typeName} ${SYNTAX[message.file.edition]}${since}\n${fields.map(fieldLine).join("")}`,
  ];
  for (const field of fields) {
    if (field.fieldKind !== "map") continue;
    blocks.push(
      `message ${message.typeName}.StatusesEntry ${SYNTAX[message.file.edition]}\n` +
        `  1 key ${scalarName(field.mapKey)}\n  2 value ${field.message!.typeName}\n`,
    );
  }
  return [...blocks, ...message.nestedMessages.flatMap(messageBlocks), ...message.nestedEnums.map(enumBlock)];
}

function enumBlock(desc: DescEnum): string {
  const since = hasOption(desc, etcd_version_enum) ? ` since ${getOption(desc, etcd_version_enum)}` : "";
  const valueLine = (value: DescEnumValue) => {
    const since = hasOption(value, etcd_version_enum_value)
      ? ` since ${getOption(value, etcd_version_enum_value)}`
      : "";
    return `  ${value.number} ${value.name}${since}\n`;
  };
  return `enum ${desc.typeName}${since}\n${desc.values.map(valueLine).join("")}`;
}

function serviceBlock(service: DescService): string {
  const lines = service.methods.map((method) => {
    const kind = method.methodKind;
    const input = kind === "client_streaming" || kind === "bidi_streaming" ? "stream " : "";
    const output = kind === "server_streaming" || kind === "bidi_streaming" ? "stream " : "";
    return `  ${method.name} (${input}${method.input.typeName}) (${output}${method.output.typeName})\n`;
  });
  return `service ${service.typeName}\n${lines.join("")}`;
}

function extensionBlock(extension: DescExtension): string {
  return `extension ${extension.typeName}\n` +
    `  ${extension.number} ${typeName(extension)} of ${extension.extendee.typeName}\n`;
}

function blocksOf(file: DescFile): string[] {
  return [
    ...file.messages.flatMap(messageBlocks),
    ...file.enums.map(enumBlock),
    ...file.services.map(serviceBlock),
    ...file.extensions.map(extensionBlock),
  ];
}

function firstLine(block: string): string {
  return block.slice(0, block.indexOf("\n")).split(" ").slice(0, 2).join(" ");
}

const table = new Map(
  readFileSync(new URL("contract.txt", import.meta.url), "utf8")
    .replace(/^#.*\n/gm, "")
    .trim()
    .split("\n\n")
    .map((block) => [firstLine(`${block}\n`), `${block.trim()}\n`]),
);

const generated = new Map(FILES.flatMap(blocksOf).map((block) => [firstLine(block), block]));

test("the table of etcd's contract is whole", () => {
  expect(table.size).toBe(195);
});

test("nothing of etcd's contract is missing from our definitions, and nothing was added to it", () => {
  expect([...generated.keys()].sort()).toEqual([...table.keys()].sort());
});

for (const [name, block] of table) {
  test(`${name} has etcd's names, numbers and types`, () => {
    expect(generated.get(name)).toBe(block);
  });
}
