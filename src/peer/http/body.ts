/** The end of a body, and its chunks (RFC 9112, sections 6 and 7). */

import { PEER_HTTP_EXTENSION_SIZE_MAX } from "../../base/limits.ts";
import { type Framing, HeadReader, MalformedError, parseFields } from "./head.ts";

const CR = 13;
const LF = 10;
const SEMICOLON = 59;

/** As Go reads a chunk's size: leading zeros count. */
const SIZE_DIGITS_MAX = 16;

type State = "data" | "size" | "extension" | "size end" | "chunk" | "chunk cr" | "chunk lf" | "trailers" | "done";

export class BodyReader {
  #state: State;
  /** Of the body or the chunk. */
  #left: number;
  #digits = 0;
  #extensionSize = 0;
  #trailers: HeadReader | undefined;
  /** What the last `read` found of the body itself: from here... */
  dataStart = 0;
  /** ... to here. */
  dataEnd = 0;

  constructor(framing: Framing, size: number) {
    this.#left = framing === "until close" ? Infinity : size;
    if (framing === "chunked") this.#state = "size";
    else this.#state = this.#left === 0 ? "done" : "data";
  }

  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Whether the end of the stream is the body's end. */
  get isUntilClose(): boolean {
    return this.#left === Infinity;
  }

  /**
   * Reads from `at` on, up to the end of the input, of the body, or of a piece of it. Returns the position reached; the
   * piece lies between `dataStart` and `dataEnd`, which are equal if there is none. Throws MalformedError.
   */
  read(bytes: Uint8Array, at: number): number {
    this.dataStart = 0;
    this.dataEnd = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case "data":
        case "chunk":
          return this.#readData(bytes, at);
        case "trailers": {
          const end = this.#trailers!.read(bytes, at);
          if (end < 0) return bytes.length;
          // Nobody asks for them, but they have to be well-formed.
          parseFields(this.#trailers!.text, 0);
          this.#state = "done";
          return end;
        }
        case "done":
          return at;
        default:
          this.#readFraming(bytes[at++]);
      }
    }
    return at;
  }

  #readData(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.dataStart = at;
    this.dataEnd = end;
    this.#left -= end - at;
    if (this.#left === 0) this.#state = this.#state === "data" ? "done" : "chunk cr";
    return end;
  }

  #readFraming(byte: number): void {
    switch (this.#state) {
      case "size":
        if (!this.#readDigit(byte)) this.#endDigits(byte);
        return;
      case "extension":
        if (byte === CR) this.#state = "size end";
        else if (byte === LF || ++this.#extensionSize > PEER_HTTP_EXTENSION_SIZE_MAX) this.#refuse();
        return;
      case "size end":
        if (byte !== LF) this.#refuse();
        this.#digits = 0;
        if (this.#left > 0) {
          this.#state = "chunk";
        } else {
          this.#state = "trailers";
          this.#trailers = new HeadReader();
        }
        return;
      case "chunk cr":
        if (byte !== CR) this.#refuse();
        this.#state = "chunk lf";
        return;
      default:
        if (byte !== LF) this.#refuse();
        this.#state = "size";
    }
  }

  #readDigit(byte: number): boolean {
    const letter = byte | 0x20;
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : letter >= 97 && letter <= 102 ? letter - 87 : -1;
    if (digit < 0) return false;
    this.#left = this.#left * 16 + digit;
    if (++this.#digits > SIZE_DIGITS_MAX || this.#left > Number.MAX_SAFE_INTEGER) this.#refuse();
    return true;
  }

  #endDigits(byte: number): void {
    if (this.#digits === 0) this.#refuse();
    if (byte === CR) {
      this.#state = "size end";
    } else if (byte === SEMICOLON) {
      this.#extensionSize = 0;
      this.#state = "extension";
    } else {
      this.#refuse();
    }
  }

  #refuse(): never {
    throw new MalformedError("malformed chunk");
  }
}
