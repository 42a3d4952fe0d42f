/** Byte strings: comparison, search, conversion. */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

/** One entry of a bucket of etcd's database. */
export type Pair = readonly [key: Uint8Array, value: Uint8Array];

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes UTF-8; invalid sequences become U+FFFD. A byte order mark is a character like any other. */
export function utf8Text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Lexicographic order of unsigned bytes, as Go's bytes.Compare: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return compareRanges(a, 0, a.length, b, 0, b.length);
}

/** The same order of a[aStart, +aSize) and b[bStart, +bSize), whose first `skip` bytes are known to be equal. */
export function compareRanges(
  a: Uint8Array,
  aStart: number,
  aSize: number,
  b: Uint8Array,
  bStart: number,
  bSize: number,
  skip = 0,
): number {
  const size = aSize < bSize ? aSize : bSize;
  for (let i = skip; i < size; i++) {
    const difference = a[aStart + i] - b[bStart + i];
    if (difference !== 0) return difference;
  }
  return aSize - bSize;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  const joined = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** One UTF-16 unit per byte: a Map key that keeps byte order and loses nothing. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) {
    text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  }
  return text;
}

export function bytesFromLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
