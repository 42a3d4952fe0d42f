/**
 * Protobuf bytes to JSON as etcd's gateway prints them: proto field names in the order of the definition, zero values left
 * out, 64-bit integers as strings, bytes in base64, enums by name, no blanks.
 *
 * It goes from the wire form straight to text, so that a large range costs its text and not a tree of objects as well.
 */

import { Buffer } from "node:buffer";
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** JSON of a message. */
export function messageToJson(descriptor: DescMessage, message: Uint8Array): string {
  return messageText(planOf(descriptor), new BinaryReader(message), message.length);
}

interface FieldPlan {
  readonly field: DescField;
  /** `"name":` */
  readonly key: string;
  /** Position in the definition, which is the order of printing. */
  readonly index: number;
  readonly isList: boolean;
  /** Zero is not told from absent, so it is not printed. */
  readonly omitsZero: boolean;
  readonly message: DescMessage | undefined;
}

type MessagePlan = Map<number, FieldPlan>;

const plans = new WeakMap<DescMessage, MessagePlan>();

function planOf(descriptor: DescMessage): MessagePlan {
  let plan = plans.get(descriptor);
  if (plan === undefined) {
    plan = new Map();
    for (const [index, field] of descriptor.fields.entries()) {
      plan.set(field.number, {
        field,
        key: `${JSON.stringify(field.name)}:`,
        index,
        isList: field.fieldKind === "list",
        omitsZero: field.oneof === undefined && field.fieldKind !== "message" && field.fieldKind !== "list",
        message: field.message,
      });
    }
    plans.set(descriptor, plan);
  }
  return plan;
}

function messageText(plan: MessagePlan, reader: BinaryReader, end: number): string {
  const values: (string | string[] | undefined)[] = [];
  const printed: (FieldPlan | undefined)[] = [];
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const fieldPlan = plan.get(number);
    if (fieldPlan === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    const { index } = fieldPlan;
    if (fieldPlan.isList) {
      const list = (values[index] ??= []) as string[];
      printed[index] = fieldPlan;
      if (wireType === WireType.LengthDelimited && isPackable(fieldPlan.field)) {
        const packedEnd = reader.uint32() + reader.pos;
        while (reader.pos < packedEnd) list.push(valueText(fieldPlan, reader));
      } else {
        list.push(valueText(fieldPlan, reader));
      }
      continue;
    }
    const text = valueText(fieldPlan, reader);
    printed[index] = fieldPlan.omitsZero && text === zeroText(fieldPlan.field) ? undefined : fieldPlan;
    values[index] = text;
  }
  let text = "{";
  for (let i = 0; i < printed.length; i++) {
    const fieldPlan = printed[i];
    if (fieldPlan === undefined) continue;
    if (text.length > 1) text += ",";
    const value = values[i]!;
    text += typeof value === "string" ? fieldPlan.key + value : `${fieldPlan.key}[${value.join(",")}]`;
  }
  return text + "}";
}

function valueText(plan: FieldPlan, reader: BinaryReader): string {
  if (plan.message !== undefined) {
    const end = reader.uint32() + reader.pos;
    return messageText(planOf(plan.message), reader, end);
  }
  const { field } = plan;
  if (field.enum !== undefined) {
    const number = reader.int32();
    const value = field.enum.value[number];
    // The zero of an enum is recognized by its number, not its name.
    if (number === 0 && plan.omitsZero) return "0";
    return value === undefined ? String(number) : `"${value.name}"`;
  }
  switch (field.scalar) {
    case ScalarType.BOOL:
      return reader.bool() ? "true" : "false";
    case ScalarType.STRING:
      return quoted(reader.string());
    case ScalarType.BYTES: {
      const bytes = reader.bytes();
      return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")}"`;
    }
    case ScalarType.INT32:
      return String(reader.int32());
    case ScalarType.UINT32:
      return String(reader.uint32());
    case ScalarType.INT64:
      return `"${reader.int64()}"`;
    case ScalarType.UINT64:
      return `"${reader.uint64()}"`;
    default:
      throw new Error(`${field}: this kind of number is in no response of the gateway`);
  }
}

function isPackable(field: DescField): boolean {
  return field.message === undefined && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES;
}

function zeroText(field: DescField): string {
  switch (field.scalar) {
    case ScalarType.BOOL:
      return "false";
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return '""';
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return '"0"';
    default:
      return "0";
  }
}

/** A JSON string as protojson escapes it: JSON.stringify differs only for lone surrogates, which UTF-8 cannot hold. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}
