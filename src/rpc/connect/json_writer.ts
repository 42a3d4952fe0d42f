/**
 * Protobuf bytes to JSON without message objects between: zero values left out, 64-bit integers as strings, bytes in base64,
 * enums by name, no blanks. With proto names it is what etcd's gateway prints, with JSON names the canonical form of
 * protobuf, which is Connect's.
 *
 * A large message is converted piece by piece, so that neither its bytes nor its text are ever whole in memory, nor its
 * conversion one long turn.
 */

import { Buffer } from "node:buffer";
import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { JSON_PIECE_SIZE } from "../../base/limits.ts";
import { WIRE_BYTES, WireError, WireReader } from "../../base/varint.ts";
import type { MessageBody } from "../../io/rpc.ts";

/** Which of a field's two names is printed. */
export type JsonNames = "proto" | "json";

/** JSON of a whole message. */
export function messageToJson(descriptor: DescMessage, message: Uint8Array, names: JsonNames): string {
  return objectText(planOf(descriptor, names), new Source(message), 0, message.length);
}

/**
 * JSON of a large message, in pieces of about JSON_PIECE_SIZE. The fields of the message itself (not of those inside) are
 * printed as they come, and ours write them in the order of their definition. Closing the body is the caller's.
 */
export function* jsonPieces(descriptor: DescMessage, body: MessageBody, names: JsonNames): Generator<string> {
  const plan = planOf(descriptor, names);
  const window = new BodyWindow(body);
  let text = "{";
  let isFirst = true;
  let list: FieldPlan | undefined;
  for (let size = window.nextField(); size > 0; size = window.nextField()) {
    const source = new Source(window.bytes);
    source.reader.reset(window.bytes, window.start, window.start + size);
    const tag = source.reader.nextTag();
    const field = plan.get(tag >>> 3);
    if (field !== undefined && field === list) {
      text += `,${elementsText(field, tag, source)}`;
    } else if (field !== undefined) {
      const value = field.isList ? `[${elementsText(field, tag, source)}` : valueText(field, source);
      if (!field.omitsZero || value !== field.zero) {
        text += `${closing(list)}${isFirst ? "" : ","}${field.key}${value}`;
        list = field.isList ? field : undefined;
        isFirst = false;
      }
    }
    window.start += size;
    if (text.length < JSON_PIECE_SIZE) continue;
    yield text;
    text = "";
  }
  yield `${text}${closing(list)}}`;
}

interface FieldPlan {
  /** `"name":` */
  readonly key: string;
  /** Position in the definition, which is the order of printing. */
  readonly index: number;
  readonly isList: boolean;
  readonly isPackable: boolean;
  /** Zero is not told from absent, so it is not printed; it would be `zero`. */
  readonly omitsZero: boolean;
  readonly zero: string;
  readonly kind: ScalarType | "enum" | "message";
  readonly enumNames: ReadonlyMap<number, string> | undefined;
  /** Of a message: its own plan, made when it is needed, as definitions are recursive. */
  readonly message: DescMessage | undefined;
  readonly names: JsonNames;
}

type MessagePlan = ReadonlyMap<number, FieldPlan>;

const plans: Record<JsonNames, WeakMap<DescMessage, MessagePlan>> = { proto: new WeakMap(), json: new WeakMap() };

function planOf(descriptor: DescMessage, names: JsonNames): MessagePlan {
  let plan = plans[names].get(descriptor);
  if (plan === undefined) {
    plan = new Map(descriptor.fields.map((field, index) => [field.number, fieldPlan(field, index, names)]));
    plans[names].set(descriptor, plan);
  }
  return plan;
}

function fieldPlan(field: DescField, index: number, names: JsonNames): FieldPlan {
  const isList = field.fieldKind === "list";
  const kind = field.message !== undefined ? "message" : field.enum !== undefined ? "enum" : field.scalar!;
  const enumNames = field.enum === undefined
    ? undefined
    : new Map(field.enum.values.map(({ number, name }) => [number, `"${name}"`]));
  return {
    key: `${JSON.stringify(names === "proto" ? field.name : field.jsonName)}:`,
    index,
    isList,
    isPackable: kind !== "message" && kind !== ScalarType.STRING && kind !== ScalarType.BYTES,
    omitsZero: field.oneof === undefined && kind !== "message" && !isList,
    zero: kind === "enum" ? enumNames!.get(0) ?? "0" : ZEROS.get(kind) ?? "0",
    kind,
    enumNames,
    message: field.message,
    names,
  };
}

const ZEROS: ReadonlyMap<ScalarType | "enum" | "message", string> = new Map([
  [ScalarType.BOOL, "false"],
  [ScalarType.STRING, '""'],
  [ScalarType.BYTES, '""'],
  [ScalarType.INT64, '"0"'],
  [ScalarType.UINT64, '"0"'],
]);

/** Bytes with a reader over a part of them, and Buffer's conversions. */
class Source {
  readonly reader: WireReader;
  readonly buffer: Buffer;

  constructor(bytes: Uint8Array) {
    this.reader = new WireReader(bytes, 0, 0);
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }
}

/** One object. Fields come in any order and are printed in that of the definition. */
function objectText(plan: MessagePlan, source: Source, start: number, end: number): string {
  const { reader } = source;
  const outerEnd = reader.end;
  reader.position = start;
  reader.end = end;
  let text = "{";
  let last: FieldPlan | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = plan.get(tag >>> 3);
    if (field === undefined) {
      reader.skip(tag);
      continue;
    }
    if (last !== undefined && field.index <= last.index && field !== last) {
      const sorted = sortedObjectText(plan, source, start, end);
      reader.end = outerEnd;
      return sorted;
    }
    if (field.isList) {
      const elements = elementsText(field, tag, source);
      if (last === field) text += `,${elements}`;
      else text += `${closing(last)}${text.length > 1 ? "," : ""}${field.key}[${elements}`;
      last = field;
      continue;
    }
    const value = valueText(field, source);
    if (field.omitsZero && value === field.zero) continue;
    text += `${closing(last)}${text.length > 1 ? "," : ""}${field.key}${value}`;
    last = field;
  }
  reader.end = outerEnd;
  return `${text}${closing(last)}}`;
}

function closing(field: FieldPlan | undefined): string {
  return field?.isList ? "]" : "";
}

/** The same for fields out of order, or repeated where only the last counts. */
function sortedObjectText(plan: MessagePlan, source: Source, start: number, end: number): string {
  const { reader } = source;
  reader.position = start;
  reader.end = end;
  const values: (string | undefined)[] = [];
  const fields: FieldPlan[] = [];
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = plan.get(tag >>> 3);
    if (field === undefined) {
      reader.skip(tag);
      continue;
    }
    fields[field.index] = field;
    const earlier = values[field.index];
    if (!field.isList) values[field.index] = valueText(field, source);
    else values[field.index] = `${earlier === undefined ? "" : `${earlier},`}${elementsText(field, tag, source)}`;
  }
  const printed: string[] = [];
  for (const field of fields) {
    if (field === undefined) continue;
    const value = values[field.index]!;
    if (field.omitsZero && value === field.zero) continue;
    printed.push(field.isList ? `${field.key}[${value}]` : `${field.key}${value}`);
  }
  return `{${printed.join(",")}}`;
}

/** One element of a list, or all that are packed together. */
function elementsText(field: FieldPlan, tag: number, source: Source): string {
  if (!field.isPackable || (tag & 7) !== WIRE_BYTES) return valueText(field, source);
  const { reader } = source;
  const packedEnd = reader.length() + reader.position;
  const values: string[] = [];
  while (reader.position < packedEnd) values.push(valueText(field, source));
  return values.join(",");
}

function valueText(field: FieldPlan, source: Source): string {
  const { reader } = source;
  switch (field.kind) {
    case "message": {
      const size = reader.length();
      const end = reader.position + size;
      const text = objectText(planOf(field.message!, field.names), source, reader.position, end);
      reader.position = end;
      return text;
    }
    case "enum": {
      const number = reader.int32();
      return field.enumNames!.get(number) ?? String(number);
    }
    case ScalarType.BOOL:
      return reader.bool() ? "true" : "false";
    case ScalarType.STRING:
      return JSON.stringify(sliceText(source, "utf8"));
    case ScalarType.BYTES:
      return `"${sliceText(source, "base64")}"`;
    case ScalarType.INT32:
      return String(reader.int32());
    case ScalarType.UINT32:
      return String(reader.uint32());
    case ScalarType.INT64: {
      const start = reader.position;
      const value = reader.int64();
      if (Number.isSafeInteger(value) && Math.abs(value) < Number.MAX_SAFE_INTEGER) return `"${value}"`;
      reader.position = start;
      return `"${reader.exactInt64()}"`;
    }
    case ScalarType.UINT64: {
      const start = reader.position;
      const value = reader.uint64();
      if (value < Number.MAX_SAFE_INTEGER) return `"${value}"`;
      reader.position = start;
      return `"${reader.exactUint64()}"`;
    }
    default:
      throw new Error(`${field.key} a number of this kind is in no message of ours`);
  }
}

function sliceText(source: Source, encoding: "utf8" | "base64"): string {
  const { reader } = source;
  const size = reader.length();
  const start = reader.position;
  reader.position = start + size;
  return size === 0 ? "" : source.buffer.toString(encoding, start, start + size);
}

/** What has been read of a body and not converted yet: grows to its largest field. */
class BodyWindow {
  bytes: Uint8Array = new Uint8Array(JSON_PIECE_SIZE);
  /** Where the next field starts. */
  start = 0;
  #end = 0;
  #left: number;
  readonly #body: MessageBody;

  constructor(body: MessageBody) {
    this.#body = body;
    this.#left = body.size;
  }

  /** Makes the next field of the message whole in `bytes` and returns its size, 0 after the last. */
  nextField(): number {
    // The longest tag and the longest length or value.
    this.#fill(5 + 10);
    if (this.start === this.#end) return 0;
    const reader = new WireReader(this.bytes, this.start, this.#end);
    const tag = reader.nextTag();
    if ((tag & 7) !== WIRE_BYTES) {
      reader.skip(tag);
      return reader.position - this.start;
    }
    const length = reader.uint64();
    const size = reader.position - this.start + length;
    this.#fill(size);
    if (this.#end - this.start < size) throw new WireError("unexpected end of message");
    return size;
  }

  /** Reads until `size` bytes are there, or all that is left. */
  #fill(size: number): void {
    if (this.#end - this.start >= size || this.#left === 0) return;
    if (this.start + size > this.bytes.length) {
      const target = size > this.bytes.length ? new Uint8Array(2 * size) : this.bytes;
      target.set(this.bytes.subarray(this.start, this.#end));
      this.bytes = target;
      this.#end -= this.start;
      this.start = 0;
    }
    while (this.#end - this.start < size && this.#left > 0) {
      const read = this.#body.read(this.bytes.subarray(this.#end, this.#end + this.#left));
      this.#end += read;
      this.#left -= read;
    }
  }
}
