/**
 * The encoding side of HPACK. A server says few different things, so the fields of templates are put into the client's
 * header table once and each later block of a template is a constant of two or three bytes, which also saves the client
 * the decoding. Nothing is ever evicted: fields that no longer fit are sent as literals, and so are all others.
 */
import { concatBytes, utf8 } from "../../base/bytes.ts";
import type { HttpField } from "../../io/net.ts";
import { DEFAULT_HEADER_TABLE_SIZE } from "./protocol.ts";
import { STATIC_TABLE } from "./static_table.ts";

let templateCount = 0;

/** A header block that is sent often. Made once for each kind of answer, never for each answer. */
export class HeaderTemplate {
  readonly id: number = templateCount++;
  readonly fields: readonly HttpField[];

  constructor(fields: readonly HttpField[]) {
    this.fields = fields;
  }
}

const staticFields = new Map<string, number>();
const staticNames = new Map<string, number>();
for (let index = STATIC_TABLE.length - 1; index > 0; index--) {
  const { name, value } = STATIC_TABLE[index];
  staticNames.set(name, index);
  staticFields.set(`${name}\0${value}`, index);
}

export class HpackEncoder {
  #tableSizeMax = DEFAULT_HEADER_TABLE_SIZE;
  #tableSize = 0;
  /** Ordinal of insertion of each field in the client's table. */
  readonly #inserted = new Map<string, number>();
  /** Blocks by template id, as long as nothing is inserted. */
  #blocks: (Uint8Array | undefined)[] = [];
  /** Table size updates that the next block must begin with. */
  #updates: Uint8Array | undefined;

  /** SETTINGS_HEADER_TABLE_SIZE of the client. */
  limitTable(size: number): void {
    const sizeMax = Math.min(size, DEFAULT_HEADER_TABLE_SIZE);
    if (sizeMax === this.#tableSizeMax) return;
    this.#tableSizeMax = sizeMax;
    // Emptying the table first makes the two sides agree whatever was in it.
    this.#updates = concatBytes([integer(0x20, 5, 0), integer(0x20, 5, sizeMax)]);
    this.#tableSize = 0;
    this.#inserted.clear();
    this.#blocks = [];
  }

  /** The block of a template. Every block must be sent, in the order asked for. The bytes stay unchanged. */
  encodeTemplate(template: HeaderTemplate): Uint8Array {
    const known = this.#blocks[template.id];
    if (known !== undefined) return known;
    const insertedBefore = this.#inserted.size;
    const block = this.#encode(template.fields, true);
    if (this.#inserted.size !== insertedBefore) this.#blocks = [];
    else if (!block.isUpdate) this.#blocks[template.id] = block.bytes;
    return block.bytes;
  }

  /** A block that leaves the client's table alone. */
  encode(fields: readonly HttpField[]): Uint8Array {
    return this.#encode(fields, false).bytes;
  }

  #encode(fields: readonly HttpField[], mayInsert: boolean): { bytes: Uint8Array; isUpdate: boolean } {
    const parts: Uint8Array[] = [];
    const isUpdate = this.#updates !== undefined;
    if (this.#updates !== undefined) parts.push(this.#updates);
    this.#updates = undefined;
    for (const [name, value] of fields) this.#encodeField(parts, name, value, mayInsert);
    return { bytes: concatBytes(parts), isUpdate };
  }

  #encodeField(parts: Uint8Array[], name: string, value: string, mayInsert: boolean): void {
    const key = `${name}\0${value}`;
    const staticIndex = staticFields.get(key);
    if (staticIndex !== undefined) {
      parts.push(integer(0x80, 7, staticIndex));
      return;
    }
    const ordinal = this.#inserted.get(key);
    if (ordinal !== undefined) {
      parts.push(integer(0x80, 7, STATIC_TABLE.length + this.#inserted.size - 1 - ordinal));
      return;
    }
    const size = name.length + value.length + 32;
    const nameIndex = staticNames.get(name) ?? 0;
    if (mayInsert && this.#tableSize + size <= this.#tableSizeMax) {
      this.#tableSize += size;
      this.#inserted.set(key, this.#inserted.size);
      parts.push(integer(0x40, 6, nameIndex));
    } else {
      parts.push(integer(0x00, 4, nameIndex));
    }
    if (nameIndex === 0) pushString(parts, name);
    pushString(parts, value);
  }
}

function pushString(parts: Uint8Array[], text: string): void {
  // Values are one unit per byte where they come from the wire; text of our own is ASCII.
  const bytes = new Uint8Array(text.length);
  let isAscii = true;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) isAscii = false;
    bytes[i] = unit;
  }
  const coded = isAscii ? bytes : utf8(text);
  parts.push(integer(0x00, 7, coded.length), coded);
}

/** RFC 7541, section 5.1. */
function integer(pattern: number, prefixBits: number, value: number): Uint8Array {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) return Uint8Array.of(pattern | value);
  const bytes = [pattern | mask];
  let rest = value - mask;
  while (rest >= 128) {
    bytes.push(rest % 128 + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
