/**
 * One JSON value to one protobuf message, with the rules and the error texts of Go's protojson (discarding unknown fields),
 * which is what etcd's gateway uses. protojson varies the blank after "proto:" from build to build; here it is a space.
 *
 * The value is known to be well-formed JSON (`json_values`), so what can still be wrong is what protojson itself checks:
 * UTF-8 and surrogates in strings, kinds of values, ranges, fields given twice.
 */

import { Buffer } from "node:buffer";
import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { utf8Text } from "../../base/bytes.ts";
import { goQuoted, runeCount } from "./json_values.ts";

/** JSON that is not this message. The text is what protojson says. */
export class JsonMessageError extends Error {
  constructor(message: string) {
    super(`proto: ${message}`);
    this.name = "JsonMessageError";
  }
}

/** Reads a whole value. Throws JsonMessageError. */
export function messageFromJson(descriptor: DescMessage, json: Uint8Array): Message {
  return new Reader(json).message(descriptor);
}

interface Token {
  readonly start: number;
  readonly end: number;
  /** The content of a string; undefined for everything else. */
  readonly text: string | undefined;
}

/** Fields by JSON name and by proto name. */
const fieldsOf = new WeakMap<DescMessage, Map<string, DescField>>();

function fieldNames(descriptor: DescMessage): Map<string, DescField> {
  let names = fieldsOf.get(descriptor);
  if (names === undefined) {
    names = new Map();
    for (const field of descriptor.fields) names.set(field.name, field);
    for (const field of descriptor.fields) names.set(field.jsonName, field);
    fieldsOf.set(descriptor, names);
  }
  return names;
}

const INVALID = Symbol("invalid");
const ABSENT = Symbol("absent");

class Reader {
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  message(descriptor: DescMessage): Message {
    if (this.#peek() !== 0x7b) throw this.#unexpected();
    this.#position++;
    const names = fieldNames(descriptor);
    const message = create(descriptor) as Message & Record<string, unknown>;
    const seen = new Set<number>();
    let oneofs: Set<string> | undefined;
    for (;;) {
      const next = this.#peek();
      if (next === 0x7d) {
        this.#position++;
        return message;
      }
      if (next === 0x2c) {
        this.#position++;
        continue;
      }
      const name = this.#token();
      this.#peek();
      this.#position++; // the colon
      const field = names.get(name.text!);
      if (field === undefined) {
        this.#skip();
        continue;
      }
      if (seen.has(field.number)) throw this.#error(name, `duplicate field ${this.#raw(name)}`);
      seen.add(field.number);
      if (this.#peek() === 0x6e) {
        this.#token(); // null leaves a field unset
        continue;
      }
      if (field.fieldKind === "list") {
        this.#list(field, message[field.localName] as unknown[]);
        continue;
      }
      if (field.fieldKind === "map") throw new Error(`${field}: maps are in no request of the gateway`);
      const { oneof } = field;
      if (oneof !== undefined) {
        oneofs ??= new Set();
        if (oneofs.has(oneof.name)) {
          const full = `${descriptor.typeName}.${oneof.name}`;
          throw this.#error(name, `error parsing ${this.#raw(name)}, oneof ${full} is already set`);
        }
        oneofs.add(oneof.name);
      }
      const value = field.fieldKind === "message" ? this.message(field.message) : this.#scalar(field);
      if (value === ABSENT) continue;
      if (oneof !== undefined) message[oneof.localName] = { case: field.localName, value };
      else message[field.localName] = value;
    }
  }

  #list(field: DescField & { fieldKind: "list" }, list: unknown[]): void {
    if (this.#peek() !== 0x5b) throw this.#unexpected();
    this.#position++;
    for (;;) {
      const next = this.#peek();
      if (next === 0x5d) {
        this.#position++;
        return;
      }
      if (next === 0x2c) {
        this.#position++;
        continue;
      }
      const value = field.listKind === "message" ? this.message(field.message) : this.#scalar(field);
      if (value !== ABSENT) list.push(value);
    }
  }

  #scalar(field: DescField): unknown {
    const token = this.#token();
    const value = field.enum !== undefined ? this.#enumValue(field, token) : this.#scalarValue(field, token);
    if (value !== INVALID) return value;
    const kind = field.enum !== undefined ? "enum" : ScalarType[field.scalar!].toLowerCase();
    throw this.#error(token, `invalid value for ${kind} field ${field.jsonName}: ${this.#raw(token)}`);
  }

  #scalarValue(field: DescField, token: Token): unknown {
    const { text } = token;
    switch (field.scalar) {
      case ScalarType.BOOL: {
        const raw = this.#raw(token);
        return raw === "true" ? true : raw === "false" ? false : INVALID;
      }
      case ScalarType.STRING:
        return text ?? INVALID;
      case ScalarType.BYTES:
        return text === undefined ? INVALID : base64Bytes(text) ?? INVALID;
      case ScalarType.INT32:
        return this.#integer(token, -0x8000_0000n, 0x7fff_ffffn, Number);
      case ScalarType.UINT32:
        return this.#integer(token, 0n, 0xffff_ffffn, Number);
      case ScalarType.INT64:
        return this.#integer(token, -0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn, BigInt);
      case ScalarType.UINT64:
        return this.#integer(token, 0n, 0xffff_ffff_ffff_ffffn, BigInt);
      default:
        throw new Error(`${field}: this kind of number is in no request of the gateway`);
    }
  }

  #enumValue(field: DescField, token: Token): unknown {
    if (token.text !== undefined) {
      const value = field.enum!.values.find((candidate) => candidate.name === token.text);
      return value === undefined ? ABSENT : value.number;
    }
    const integer = isNumberStart(this.#bytes[token.start]) ? integerOf(this.#raw(token)) : undefined;
    return integer === undefined || integer < -0x8000_0000n || integer > 0x7fff_ffffn ? INVALID : Number(integer);
  }

  #integer(token: Token, min: bigint, max: bigint, convert: (value: bigint) => number | bigint): unknown {
    let text: string;
    if (token.text === undefined) {
      if (!isNumberStart(this.#bytes[token.start])) return INVALID;
      text = this.#raw(token);
    } else {
      const number = numberAtStart(token.text);
      if (number === undefined) return INVALID;
      text = number;
    }
    const value = integerOf(text);
    return value === undefined || value < min || value > max ? INVALID : convert(value);
  }

  /** Passes over a value of an unknown field; its strings are checked all the same. */
  #skip(): void {
    let depth = 0;
    do {
      const next = this.#peek();
      if (next === 0x7b || next === 0x5b) depth++;
      else if (next === 0x7d || next === 0x5d) depth--;
      else if (next !== 0x2c && next !== 0x3a) {
        this.#token();
        continue;
      }
      this.#position++;
    } while (depth > 0);
  }

  /** The byte that the next token starts with. */
  #peek(): number {
    for (;;) {
      const byte = this.#bytes[this.#position];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte;
      this.#position++;
    }
  }

  /** A name, a scalar, or the opening of an object or an array. */
  #token(): Token {
    const first = this.#peek();
    const start = this.#position;
    if (first === 0x22) {
      const text = this.#string();
      return { start, end: this.#position, text };
    }
    let end = start + 1;
    if (first !== 0x7b && first !== 0x5b) {
      while (end < this.#bytes.length && isWordByte(this.#bytes[end])) end++;
    }
    this.#position = end;
    return { start, end, text: undefined };
  }

  #string(): string {
    const start = this.#position;
    let i = start + 1;
    let escapes = false;
    while (this.#bytes[i] !== 0x22) {
      if (this.#bytes[i] === 0x5c) {
        escapes = true;
        i++;
      }
      i++;
    }
    this.#position = i + 1;
    const content = this.#bytes.subarray(start + 1, i);
    return escapes ? this.#unescaped(start, i) : this.#text(start, content);
  }

  #text(start: number, content: Uint8Array): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      throw this.#syntaxError(start, "invalid UTF-8 in string");
    }
  }

  #unescaped(start: number, end: number): string {
    const bytes = this.#bytes;
    let text = "";
    let run = start + 1;
    let i = run;
    while (i < end) {
      if (bytes[i] !== 0x5c) {
        i++;
        continue;
      }
      text += this.#text(start, bytes.subarray(run, i));
      const escape = String.fromCharCode(bytes[i + 1]);
      if (escape !== "u") {
        text += ESCAPES[escape];
        i += 2;
      } else {
        const unit = this.#hexUnit(i);
        i += 6;
        if (unit >= 0xd800 && unit <= 0xdfff) {
          if (i + 6 > bytes.length) throw new JsonMessageError("unexpected EOF");
          const low = bytes[i] === 0x5c && bytes[i + 1] === 0x75 ? this.#hexUnit(i) : 0;
          if (unit > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) {
            throw this.#syntaxError(start, `invalid escape code ${goQuoted(bytes.subarray(i, i + 6))} in string`);
          }
          text += String.fromCharCode(unit, low);
          i += 6;
        } else text += String.fromCharCode(unit);
      }
      run = i;
    }
    return text + this.#text(start, bytes.subarray(run, end));
  }

  #hexUnit(offset: number): number {
    return parseInt(utf8Text(this.#bytes.subarray(offset + 2, offset + 6)), 16);
  }

  #raw(token: Token): string {
    return utf8Text(this.#bytes.subarray(token.start, token.end));
  }

  #unexpected(): JsonMessageError {
    const token = this.#token();
    return this.#syntaxError(token.start, `unexpected token ${this.#raw(token)}`);
  }

  #syntaxError(position: number, message: string): JsonMessageError {
    return new JsonMessageError(`syntax error ${this.#place(position)}: ${message}`);
  }

  #error(token: Token, message: string): JsonMessageError {
    return new JsonMessageError(`${this.#place(token.start)}: ${message}`);
  }

  #place(position: number): string {
    let line = 1;
    let lineStart = 0;
    for (let i = 0; i < position; i++) {
      if (this.#bytes[i] !== 0x0a) continue;
      line++;
      lineStart = i + 1;
    }
    return `(line ${line}:${runeCount(this.#bytes.subarray(lineStart, position)) + 1})`;
  }
}

const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

function isNumberStart(byte: number): boolean {
  return byte === 0x2d || byte >= 0x30 && byte <= 0x39;
}

/** Bytes that may stand in a number, a word, or what is neither. */
function isWordByte(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39 || byte >= 0x61 && byte <= 0x7a || byte >= 0x41 && byte <= 0x5a ||
    byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x5f;
}

/**
 * The number that a string starts with: protojson reads one token of it and does not look at the rest, as long as the rest
 * does not touch the number. Blanks around are refused.
 */
function numberAtStart(text: string): string | undefined {
  if (text.trim() !== text) return undefined;
  const match = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE](?:[+-](?=[^])|(?![+-])(?=[^]))[0-9]*)?/.exec(text);
  if (match === null) return undefined;
  const rest = text[match[0].length];
  return rest !== undefined && /[-+._a-zA-Z0-9]/.test(rest) ? undefined : match[0];
}

/** The integer a JSON number stands for ("1e2" and "1.50e1" are integers), undefined where it is none or far out of range. */
function integerOf(number: string): bigint | undefined {
  const match = /^(-?)(?:0|([1-9][0-9]*))(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]*))?$/.exec(number);
  if (match === null) return undefined;
  const integer = match[2] ?? "";
  const fraction = (match[3] ?? "").replace(/0+$/, "");
  if (integer === "" && fraction === "") return 0n;
  const exponent = match[4] === undefined || match[4] === "" ? 0 : Number(match[4]);
  if (!Number.isInteger(exponent) || Math.abs(exponent) > 0x7fff_ffff) return undefined;
  let digits: string;
  if (exponent >= 0) {
    if (fraction.length > exponent || integer.length + exponent > 20) return undefined;
    digits = integer + fraction + "0".repeat(exponent - fraction.length);
  } else {
    const point = integer.length + exponent;
    if (fraction !== "" || point < 0 || /[^0]/.test(integer.slice(point))) return undefined;
    digits = integer.slice(0, point);
  }
  const value = BigInt(digits);
  return match[1] === "-" ? -value : value;
}

/** Base64 as Go decodes it: either alphabet, padded or not, line breaks anywhere. Undefined where it is not. */
function base64Bytes(text: string): Uint8Array | undefined {
  const isPadded = text.length % 4 === 0;
  const isUrl = text.includes("-") || text.includes("_");
  const compact = /[\r\n]/.test(text) ? text.replace(/[\r\n]/g, "") : text;
  const unpadded = isPadded ? compact.replace(/={1,2}$/, "") : compact;
  if (!(isUrl ? /^[A-Za-z0-9_-]*$/ : /^[A-Za-z0-9+/]*$/).test(unpadded)) return undefined;
  if (unpadded.length % 4 === 1) return undefined;
  if (isPadded && compact.length % 4 !== 0) return undefined;
  return new Uint8Array(Buffer.from(unpadded, isUrl ? "base64url" : "base64"));
}
