/**
 * The decoding side of HPACK (RFC 7541).
 *
 *   1xxxxxxx  indexed field                     001xxxxx  table size update
 *   01xxxxxx  literal, added to the table       000xxxxx  literal, not added (bit 4: never to be)
 */
import { HPACK_CACHED_BLOCK_SIZE_MAX, HPACK_CACHED_BLOCKS_MAX, HPACK_INTEGER_MAX } from "../../base/limits.ts";
import { fieldNamed, HeaderField, HeaderList, isValidName, isValidValue } from "./field.ts";
import { huffmanDecode, huffmanDecodedSizeMax } from "./huffman.ts";
import { STATIC_TABLE } from "./static_table.ts";

/** Thrown for a block that cannot be decoded: a connection error COMPRESSION_ERROR, as the table's state is lost. */
export class HpackError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "HpackError";
  }
}

/** One decoder decodes at a time, and nothing of it lives in the scratch space between two strings. */
let scratch = new Uint8Array(4096);

/** node:buffer's own conversion is 2 x faster than TextDecoder on the short strings seen here; very short ones are faster by hand. */
const latin1Slice = Buffer.prototype.latin1Slice as (this: Uint8Array, start: number, end: number) => string;

function latin1Text(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > 12) return latin1Slice.call(bytes, start, end);
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

class CachedBlock {
  readonly bytes: Uint8Array;
  readonly list: HeaderList;

  constructor(bytes: Uint8Array, list: HeaderList) {
    this.bytes = bytes;
    this.list = list;
  }
}

export class HpackDecoder {
  readonly #listSizeMax: number;
  /** What our SETTINGS allow the peer to make of the table. */
  readonly #tableSizeLimit: number;
  #tableSizeMax: number;
  #tableSize = 0;
  /** Ring of entries, a power of two long; the newest is at #head. */
  #entries: (HeaderField | undefined)[] = new Array(64).fill(undefined);
  #head = 0;
  #count = 0;
  /** Blocks that did not change the table, by hash of their bytes; forgotten as soon as the table changes. */
  readonly #cache = new Map<number, CachedBlock>();

  #source: Uint8Array = scratch;
  #position = 0;
  #end = 0;
  /** Validity of the string just read; set by #readString. */
  #isValid = true;

  constructor(tableSizeLimit: number, listSizeMax: number) {
    this.#tableSizeLimit = tableSizeLimit;
    this.#tableSizeMax = tableSizeLimit;
    this.#listSizeMax = listSizeMax;
  }

  get tableSize(): number {
    return this.#tableSize;
  }

  /** Decodes the complete header block `source[start, end)`. The list may be shared with equal blocks. */
  decode(source: Uint8Array, start: number, end: number): HeaderList {
    const size = end - start;
    const isCacheable = size <= HPACK_CACHED_BLOCK_SIZE_MAX;
    let hash = size;
    if (isCacheable) {
      for (let i = start; i < end; i++) hash = Math.imul(hash ^ source[i], 0x01000193);
      const cached = this.#cache.get(hash);
      if (cached !== undefined && isSame(cached.bytes, source, start, size)) return cached.list;
    }

    const list = new HeaderList();
    this.#source = source;
    this.#position = start;
    this.#end = end;
    const leftTableAlone = this.#decodeInto(list);
    if (!leftTableAlone) {
      if (this.#cache.size > 0) this.#cache.clear();
    } else if (isCacheable) {
      if (this.#cache.size >= HPACK_CACHED_BLOCKS_MAX) this.#cache.clear();
      this.#cache.set(hash, new CachedBlock(source.slice(start, end), list));
    }
    return list;
  }

  #decodeInto(list: HeaderList): boolean {
    const source = this.#source;
    const listSizeMax = this.#listSizeMax;
    let leftTableAlone = true;
    let mayResize = true;
    while (this.#position < this.#end) {
      const byte = source[this.#position];
      if (byte & 0x80) {
        mayResize = false;
        list.add(this.#entry(this.#readInteger(0x7f)), listSizeMax);
      } else if (byte & 0x40) {
        mayResize = false;
        const field = this.#readLiteral(this.#readInteger(0x3f));
        this.#insert(field);
        leftTableAlone = false;
        list.add(field, listSizeMax);
      } else if (byte & 0x20) {
        // Section 4.2: an update must come before the first field of a block.
        if (!mayResize) throw new HpackError("table size update after a field");
        const size = this.#readInteger(0x1f);
        if (size > this.#tableSizeLimit) throw new HpackError("table size update beyond the limit");
        this.#tableSizeMax = size;
        this.#evict(0);
        leftTableAlone = false;
      } else {
        mayResize = false;
        list.add(this.#readLiteral(this.#readInteger(0x0f)), listSizeMax);
      }
    }
    return leftTableAlone;
  }

  #entry(index: number): HeaderField {
    if (index === 0) throw new HpackError("index 0");
    if (index < STATIC_TABLE.length) return STATIC_TABLE[index];
    const age = index - STATIC_TABLE.length;
    if (age >= this.#count) throw new HpackError("index beyond the tables");
    return this.#entries[this.#head - age & this.#entries.length - 1]!;
  }

  #readLiteral(nameIndex: number): HeaderField {
    let named: HeaderField;
    if (nameIndex > 0) named = this.#entry(nameIndex);
    else {
      const name = this.#readString(true);
      named = fieldNamed(name, this.#isValid);
    }
    const value = this.#readString(false);
    return named.withValue(value, this.#isValid);
  }

  #insert(field: HeaderField): void {
    this.#evict(field.size);
    // Section 4.4: a field larger than the table empties it, and that is not an error.
    if (field.size > this.#tableSizeMax) return;
    if (this.#count === this.#entries.length) this.#grow();
    this.#head = this.#head + 1 & this.#entries.length - 1;
    this.#entries[this.#head] = field;
    this.#count++;
    this.#tableSize += field.size;
  }

  /** Drops the oldest entries until `room` more bytes fit, or the table is empty. */
  #evict(room: number): void {
    const mask = this.#entries.length - 1;
    while (this.#count > 0 && this.#tableSize + room > this.#tableSizeMax) {
      const oldest = this.#head - this.#count + 1 & mask;
      this.#tableSize -= this.#entries[oldest]!.size;
      this.#entries[oldest] = undefined;
      this.#count--;
    }
  }

  #grow(): void {
    const grown: (HeaderField | undefined)[] = new Array(this.#entries.length * 2).fill(undefined);
    for (let age = 0; age < this.#count; age++) {
      grown[this.#count - 1 - age] = this.#entries[this.#head - age & this.#entries.length - 1];
    }
    this.#entries = grown;
    this.#head = this.#count - 1;
  }

  /** Section 5.1. `mask` covers the prefix bits of the byte at the position. */
  #readInteger(mask: number): number {
    const source = this.#source;
    let value = source[this.#position++] & mask;
    if (value < mask) return value;
    let scale = 1;
    for (;;) {
      if (this.#position >= this.#end) throw new HpackError("truncated integer");
      const byte = source[this.#position++];
      value += (byte & 0x7f) * scale;
      if (value > HPACK_INTEGER_MAX || scale > HPACK_INTEGER_MAX) throw new HpackError("integer too large");
      if (byte < 0x80) return value;
      scale *= 128;
    }
  }

  /** Section 5.2. Sets #isValid. */
  #readString(isName: boolean): string {
    if (this.#position >= this.#end) throw new HpackError("truncated string");
    const isCoded = this.#source[this.#position] >= 0x80;
    const size = this.#readInteger(0x7f);
    let bytes = this.#source;
    let start = this.#position;
    let end = start + size;
    if (end > this.#end) throw new HpackError("truncated string");
    this.#position = end;
    if (isCoded) {
      const sizeMax = huffmanDecodedSizeMax(size);
      if (sizeMax > scratch.length) scratch = new Uint8Array(sizeMax);
      const decoded = huffmanDecode(bytes, start, end, scratch);
      if (decoded < 0) throw new HpackError("invalid Huffman code");
      bytes = scratch;
      start = 0;
      end = decoded;
    }
    this.#isValid = isName ? isValidName(bytes, start, end) : isValidValue(bytes, start, end);
    return latin1Text(bytes, start, end);
  }
}

function isSame(cached: Uint8Array, source: Uint8Array, start: number, size: number): boolean {
  if (cached.length !== size) return false;
  for (let i = 0; i < size; i++) if (cached[i] !== source[start + i]) return false;
  return true;
}
