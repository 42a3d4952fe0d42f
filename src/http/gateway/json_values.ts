/**
 * Cuts a stream of bytes into JSON values, as Go's encoding/json decoder does for grpc-gateway: with its leniency (what
 * follows a value is not looked at) and with the texts of its errors.
 */

import { GATEWAY_JSON_DEPTH_MAX } from "../../base/limits.ts";

/** Not JSON. The text is what Go's decoder says. */
export class JsonSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "JsonSyntaxError";
  }
}

// What may come next.
const VALUE = 0;
const VALUE_OR_CLOSE = 1;
const KEY = 2;
const KEY_OR_CLOSE = 3;
const AFTER_VALUE = 4;
const STRING = 5;
const ESCAPE = 6;
const ESCAPE_HEX = 7;
const MINUS = 8;
const ZERO = 9;
const DIGITS = 10;
const POINT = 11;
const FRACTION = 12;
const EXPONENT = 13;
const EXPONENT_SIGN = 14;
const EXPONENT_DIGITS = 15;
const WORD = 16;

// What encloses it.
const OBJECT_KEY = 0;
const OBJECT_VALUE = 1;
const ARRAY_VALUE = 2;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

export class JsonValues {
  /** What was fed and not taken: `[start, length)` of a buffer that doubles as it must. */
  #buffer = new Uint8Array(0);
  #length = 0;
  /** Where the value being read starts, and how far it was read. */
  #start = 0;
  #position = 0;
  #state = VALUE;
  #enclosing: number[] = [];
  #hexLeft = 0;
  #word = "";
  #wordIndex = 0;
  #error: JsonSyntaxError | undefined;

  /** Bytes of the value that is not complete yet. */
  get pendingSize(): number {
    return this.#length - this.#start;
  }

  /** Adds input. Values taken before are valid no longer. */
  feed(chunk: Uint8Array): void {
    const pending = this.#length - this.#start;
    if (pending + chunk.length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(2 * this.#buffer.length, pending + chunk.length));
      grown.set(this.#buffer.subarray(this.#start, this.#length));
      this.#buffer = grown;
    } else {
      this.#buffer.copyWithin(0, this.#start, this.#length);
    }
    this.#buffer.set(chunk, pending);
    this.#length = pending + chunk.length;
    this.#position -= this.#start;
    this.#start = 0;
  }

  /** The next complete value, undefined until there is one. Throws JsonSyntaxError, from then on each time. */
  next(): Uint8Array | undefined {
    if (this.#error !== undefined) throw this.#error;
    while (this.#position < this.#length) {
      if (this.#state === STRING) this.#skipText();
      if (this.#position === this.#length) return undefined;
      if (this.#isValueBefore(this.#buffer[this.#position])) return this.#take(this.#position);
      this.#position++;
      if (this.#enclosing.length === 0 && this.#state === AFTER_VALUE && this.#isClosed()) {
        return this.#take(this.#position);
      }
    }
    return undefined;
  }

  /** At the end of the input: a last number, or undefined if nothing but space is left. Throws "unexpected EOF". */
  last(): Uint8Array | undefined {
    const value = this.next();
    if (value !== undefined) return value;
    if (this.#endsWithSpace()) return this.#take(this.#position);
    for (let i = this.#start; i < this.#length; i++) {
      if (!isSpace(this.#buffer[i])) throw this.#fail("unexpected EOF");
    }
    return undefined;
  }

  /** True where the input is a whole value if a space follows: a number, a string or a word. */
  #endsWithSpace(): boolean {
    try {
      return this.#isValueBefore(0x20);
    } catch (error) {
      // A space inside of a word or number: what is wrong with the input is its end.
      if (error instanceof JsonSyntaxError) return false;
      throw error;
    }
  }

  /** An object or an array needs no byte after it to be known as complete; a number, a string or a word is cut by the next. */
  #isClosed(): boolean {
    const byte = this.#buffer[this.#position - 1];
    return byte === 0x7d || byte === 0x5d;
  }

  #take(end: number): Uint8Array {
    let start = this.#start;
    while (isSpace(this.#buffer[start])) start++;
    const value = this.#buffer.subarray(start, end);
    this.#start = end;
    this.#position = end;
    this.#state = VALUE;
    return value;
  }

  #skipText(): void {
    const buffer = this.#buffer;
    const length = this.#length;
    let i = this.#position;
    while (i < length) {
      const byte = buffer[i];
      if (byte === QUOTE || byte === BACKSLASH || byte < 0x20) break;
      i++;
    }
    this.#position = i;
  }

  /** Takes one byte into account. True: the value ended before it. */
  #isValueBefore(byte: number): boolean {
    switch (this.#state) {
      case VALUE_OR_CLOSE:
        if (isSpace(byte)) return false;
        if (byte === 0x5d) return this.#afterValue(byte);
        return this.#beginValue(byte);
      case VALUE:
        if (isSpace(byte)) return false;
        return this.#beginValue(byte);
      case KEY_OR_CLOSE:
        if (isSpace(byte)) return false;
        if (byte === 0x7d) {
          this.#enclosing[this.#enclosing.length - 1] = OBJECT_VALUE;
          return this.#afterValue(byte);
        }
        return this.#beginKey(byte);
      case KEY:
        if (isSpace(byte)) return false;
        return this.#beginKey(byte);
      case AFTER_VALUE:
        return this.#afterValue(byte);
      case STRING:
        if (byte === QUOTE) this.#state = AFTER_VALUE;
        else if (byte === BACKSLASH) this.#state = ESCAPE;
        else if (byte < 0x20) throw this.#invalid(byte, "in string literal");
        return false;
      case ESCAPE:
        if (byte === 0x75) {
          this.#hexLeft = 4;
          this.#state = ESCAPE_HEX;
        } else if ('bfnrt\\/"'.includes(String.fromCharCode(byte))) {
          this.#state = STRING;
        } else throw this.#invalid(byte, "in string escape code");
        return false;
      case ESCAPE_HEX:
        if (!isHexDigit(byte)) throw this.#invalid(byte, "in \\u hexadecimal character escape");
        if (--this.#hexLeft === 0) this.#state = STRING;
        return false;
      case MINUS:
        if (byte === 0x30) this.#state = ZERO;
        else if (isDigit(byte)) this.#state = DIGITS;
        else throw this.#invalid(byte, "in numeric literal");
        return false;
      case DIGITS:
        if (isDigit(byte)) return false;
        return this.#afterInteger(byte);
      case ZERO:
        return this.#afterInteger(byte);
      case POINT:
        if (!isDigit(byte)) throw this.#invalid(byte, "after decimal point in numeric literal");
        this.#state = FRACTION;
        return false;
      case FRACTION:
        if (isDigit(byte)) return false;
        if (byte === 0x65 || byte === 0x45) {
          this.#state = EXPONENT;
          return false;
        }
        return this.#afterValue(byte);
      case EXPONENT:
        if (byte === 0x2b || byte === 0x2d) {
          this.#state = EXPONENT_SIGN;
          return false;
        }
        return this.#exponentDigit(byte);
      case EXPONENT_SIGN:
        return this.#exponentDigit(byte);
      case EXPONENT_DIGITS:
        if (isDigit(byte)) return false;
        return this.#afterValue(byte);
      default:
        if (byte !== this.#word.charCodeAt(this.#wordIndex)) {
          throw this.#invalid(byte, `in literal ${this.#word} (expecting '${this.#word[this.#wordIndex]}')`);
        }
        if (++this.#wordIndex === this.#word.length) this.#state = AFTER_VALUE;
        return false;
    }
  }

  #beginValue(byte: number): boolean {
    if (byte === 0x7b) {
      this.#enclose(OBJECT_KEY, byte);
      this.#state = KEY_OR_CLOSE;
    } else if (byte === 0x5b) {
      this.#enclose(ARRAY_VALUE, byte);
      this.#state = VALUE_OR_CLOSE;
    } else if (byte === QUOTE) this.#state = STRING;
    else if (byte === 0x2d) this.#state = MINUS;
    else if (byte === 0x30) this.#state = ZERO;
    else if (isDigit(byte)) this.#state = DIGITS;
    else if (byte === 0x74) this.#beginWord("true");
    else if (byte === 0x66) this.#beginWord("false");
    else if (byte === 0x6e) this.#beginWord("null");
    else throw this.#invalid(byte, "looking for beginning of value");
    return false;
  }

  #beginWord(word: string): void {
    this.#word = word;
    this.#wordIndex = 1;
    this.#state = WORD;
  }

  #beginKey(byte: number): boolean {
    if (byte !== QUOTE) throw this.#invalid(byte, "looking for beginning of object key string");
    this.#state = STRING;
    return false;
  }

  #enclose(kind: number, byte: number): void {
    if (this.#enclosing.length >= GATEWAY_JSON_DEPTH_MAX) throw this.#invalid(byte, "exceeded max depth");
    this.#enclosing.push(kind);
  }

  #afterInteger(byte: number): boolean {
    if (byte === 0x2e) this.#state = POINT;
    else if (byte === 0x65 || byte === 0x45) this.#state = EXPONENT;
    else return this.#afterValue(byte);
    return false;
  }

  #exponentDigit(byte: number): boolean {
    if (!isDigit(byte)) throw this.#invalid(byte, "in exponent of numeric literal");
    this.#state = EXPONENT_DIGITS;
    return false;
  }

  #afterValue(byte: number): boolean {
    const depth = this.#enclosing.length;
    if (depth === 0) return true;
    this.#state = AFTER_VALUE;
    if (isSpace(byte)) return false;
    const kind = this.#enclosing[depth - 1];
    if (kind === OBJECT_KEY) {
      if (byte !== 0x3a) throw this.#invalid(byte, "after object key");
      this.#enclosing[depth - 1] = OBJECT_VALUE;
      this.#state = VALUE;
    } else if (kind === OBJECT_VALUE) {
      if (byte === 0x2c) {
        this.#enclosing[depth - 1] = OBJECT_KEY;
        this.#state = KEY;
      } else if (byte === 0x7d) this.#enclosing.pop();
      else throw this.#invalid(byte, "after object key:value pair");
    } else if (byte === 0x2c) this.#state = VALUE;
    else if (byte === 0x5d) this.#enclosing.pop();
    else throw this.#invalid(byte, "after array element");
    return false;
  }

  #invalid(byte: number, where: string): JsonSyntaxError {
    return this.#fail(`invalid character ${quotedByte(byte)} ${where}`);
  }

  #fail(message: string): JsonSyntaxError {
    this.#error = new JsonSyntaxError(message);
    return this.#error;
  }
}

/** A string in Go's %q form, for what errors quote of the input. */
export function goQuoted(bytes: Uint8Array): string {
  let text = '"';
  for (let i = 0; i < bytes.length;) {
    const size = runeSize(bytes, i);
    if (size === 0) {
      text += `\\x${bytes[i].toString(16).padStart(2, "0")}`;
      i++;
      continue;
    }
    const rune = runeAt(bytes, i, size);
    text += rune === QUOTE ? '\\"' : goEscaped(rune);
    i += size;
  }
  return text + '"';
}

/** Runes of UTF-8 text as Go counts them: a byte that is not part of one counts as one. */
export function runeCount(bytes: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < bytes.length; count++) i += runeSize(bytes, i) || 1;
  return count;
}

function quotedByte(byte: number): string {
  if (byte === 0x27) return "'\\''";
  if (byte === QUOTE) return "'\"'";
  return `'${goEscaped(byte)}'`;
}

function goEscaped(rune: number): string {
  switch (rune) {
    case 0x5c:
      return "\\\\";
    case 0x07:
      return "\\a";
    case 0x08:
      return "\\b";
    case 0x0c:
      return "\\f";
    case 0x0a:
      return "\\n";
    case 0x0d:
      return "\\r";
    case 0x09:
      return "\\t";
    case 0x0b:
      return "\\v";
  }
  const text = String.fromCodePoint(rune);
  if (rune === 0x20 || /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u.test(text)) return text;
  if (rune < 0x20 || rune === 0x7f) return `\\x${rune.toString(16).padStart(2, "0")}`;
  if (rune < 0x10000) return `\\u${rune.toString(16).padStart(4, "0")}`;
  return `\\U${rune.toString(16).padStart(8, "0")}`;
}

/** Bytes of the well-formed rune at `offset`, 0 where there is none. */
function runeSize(bytes: Uint8Array, offset: number): number {
  const first = bytes[offset];
  if (first < 0x80) return 1;
  const size = first >= 0xc2 && first < 0xe0
    ? 2
    : first >= 0xe0 && first < 0xf0
    ? 3
    : first >= 0xf0 && first < 0xf5
    ? 4
    : 0;
  if (size === 0 || offset + size > bytes.length) return 0;
  for (let i = 1; i < size; i++) {
    if ((bytes[offset + i] & 0xc0) !== 0x80) return 0;
  }
  const second = bytes[offset + 1];
  if (first === 0xe0 && second < 0xa0 || first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90 || first === 0xf4 && second > 0x8f) return 0;
  return size;
}

function runeAt(bytes: Uint8Array, offset: number, size: number): number {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(offset, offset + size)).codePointAt(0)!;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || byte >= 0x61 && byte <= 0x66 || byte >= 0x41 && byte <= 0x46;
}
