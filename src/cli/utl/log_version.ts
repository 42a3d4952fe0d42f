/** The oldest version of etcd that can read what is in a log: etcd's messages say since when they and their fields exist. */

import {
  type DescEnum,
  type DescEnumValue,
  type DescField,
  type DescMessage,
  fromBinary,
  getOption,
  hasOption,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { InternalRaftRequestSchema } from "../../gen/etcdserverpb/raft_internal_pb.ts";
import {
  etcd_version_enum,
  etcd_version_enum_value,
  etcd_version_field,
  etcd_version_msg,
} from "../../gen/versionpb/version_pb.ts";
import { type Entry, EntryType } from "../../raft/mod.ts";
import { compareVersions, parseSchemaVersion, type SchemaVersion } from "./schema_version.ts";

/** Undefined where nothing in the entries says so. */
export function minimalVersion(entries: readonly Entry[]): SchemaVersion | undefined {
  const newest = new NewestVersion();
  for (const { type, data } of entries) {
    if (type === EntryType.CONF_CHANGE) newest.take("3.0");
    else if (type === EntryType.CONF_CHANGE_V2) newest.take("3.4");
    else visitRequest(data, newest);
  }
  return newest.version;
}

class NewestVersion {
  version: SchemaVersion | undefined;

  take(text: string): void {
    const version = parseSchemaVersion(text);
    if (version === undefined) return;
    if (this.version === undefined || compareVersions(this.version, version) < 0) this.version = version;
  }
}

function visitRequest(data: Uint8Array, newest: NewestVersion): void {
  const request = fromBinary(InternalRaftRequestSchema, data);
  if (request.downgradeVersionTest !== undefined) newest.take(request.downgradeVersionTest.ver);
  visitMessage(reflect(InternalRaftRequestSchema, request), newest);
}

/** The message, its fields that are set, and what is in those; as etcd, lists are not looked into. */
function visitMessage(message: ReflectMessage, newest: NewestVersion): void {
  newest.take(messageVersion(message.desc));
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    newest.take(fieldVersion(field));
    if (field.fieldKind === "message") {
      visitMessage(message.get(field), newest);
    } else if (field.fieldKind === "enum") {
      newest.take(enumVersion(field.enum));
      const value = field.enum.value[message.get(field) as number];
      if (value !== undefined) newest.take(enumValueVersion(value));
    }
  }
}

function messageVersion(message: DescMessage): string {
  return hasOption(message, etcd_version_msg) ? getOption(message, etcd_version_msg) : "";
}

function fieldVersion(field: DescField): string {
  return hasOption(field, etcd_version_field) ? getOption(field, etcd_version_field) : "";
}

function enumVersion(type: DescEnum): string {
  return hasOption(type, etcd_version_enum) ? getOption(type, etcd_version_enum) : "";
}

function enumValueVersion(value: DescEnumValue): string {
  return hasOption(value, etcd_version_enum_value) ? getOption(value, etcd_version_enum_value) : "";
}
