/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as Go's hash/crc32 computes it: the log's records and HashKV.
 *
 * Slicing by 16: sixteen bytes per round through sixteen tables of 256 entries, kept in one typed array (16 KiB, it
 * stays in the first-level cache): about 1.8 GB/s on Bun and 1.6 GB/s on Deno. Long ranges are read as words: 2.5 and 2.1.
 */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;
/** From this size on a view of the words costs less than it saves. */
const WORDS_SIZE_MIN = 2048;
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

const TABLES = buildTables();

function buildTables(): Int32Array {
  const tables = new Int32Array(SLICES * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let slice = 1; slice < SLICES; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = tables[(slice - 1) * 256 + byte];
      tables[slice * 256 + byte] = (previous >>> 8) ^ tables[previous & 0xff];
    }
  }
  return tables;
}

/**
 * The checksum of what `crc` covered so far followed by `bytes[start, end)`: an unsigned 32-bit number. Start from 0.
 * As Go's `crc32.Update`, so `updateCrc32c(updateCrc32c(0, a), b)` is the checksum of a followed by b.
 */
export function updateCrc32c(crc: number, bytes: Uint8Array, start = 0, end: number = bytes.length): number {
  if (end - start < WORDS_SIZE_MIN || !IS_LITTLE_ENDIAN) return ~updateByBytes(~crc, bytes, start, end) >>> 0;
  const wordsStart = start + (-(bytes.byteOffset + start) & 3);
  const wordsEnd = end - (end - wordsStart) % 16;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset + wordsStart, (wordsEnd - wordsStart) / 4);
  const state = updateByWords(updateByBytes(~crc, bytes, start, wordsStart), words);
  return ~updateByBytes(state, bytes, wordsEnd, end) >>> 0;
}

/** Four words per round. What does not depend on the state comes first, so that little waits for the round before. */
function updateByWords(state: number, words: Int32Array): number {
  const tables = TABLES;
  for (let i = 0; i < words.length; i += 4) {
    const second = words[i + 1];
    const third = words[i + 2];
    const fourth = words[i + 3];
    const others = tables[2816 + (second & 0xff)] ^
      tables[2560 + ((second >>> 8) & 0xff)] ^
      tables[2304 + ((second >>> 16) & 0xff)] ^
      tables[2048 + (second >>> 24)] ^
      tables[1792 + (third & 0xff)] ^
      tables[1536 + ((third >>> 8) & 0xff)] ^
      tables[1280 + ((third >>> 16) & 0xff)] ^
      tables[1024 + (third >>> 24)] ^
      tables[768 + (fourth & 0xff)] ^
      tables[512 + ((fourth >>> 8) & 0xff)] ^
      tables[256 + ((fourth >>> 16) & 0xff)] ^
      tables[fourth >>> 24];
    const first = state ^ words[i];
    state = others ^
      (tables[3840 + (first & 0xff)] ^ tables[3584 + ((first >>> 8) & 0xff)]) ^
      (tables[3328 + ((first >>> 16) & 0xff)] ^ tables[3072 + (first >>> 24)]);
  }
  return state;
}

function updateByBytes(state: number, bytes: Uint8Array, start: number, end: number): number {
  const tables = TABLES;
  let i = start;
  const wholeEnd = end - 15;
  for (; i < wholeEnd; i += 16) {
    state ^= bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
    state = tables[3840 + (state & 0xff)] ^
      tables[3584 + ((state >>> 8) & 0xff)] ^
      tables[3328 + ((state >>> 16) & 0xff)] ^
      tables[3072 + (state >>> 24)] ^
      tables[2816 + bytes[i + 4]] ^
      tables[2560 + bytes[i + 5]] ^
      tables[2304 + bytes[i + 6]] ^
      tables[2048 + bytes[i + 7]] ^
      tables[1792 + bytes[i + 8]] ^
      tables[1536 + bytes[i + 9]] ^
      tables[1280 + bytes[i + 10]] ^
      tables[1024 + bytes[i + 11]] ^
      tables[768 + bytes[i + 12]] ^
      tables[512 + bytes[i + 13]] ^
      tables[256 + bytes[i + 14]] ^
      tables[bytes[i + 15]];
  }
  for (; i < end; i++) state = (state >>> 8) ^ tables[(state ^ bytes[i]) & 0xff];
  return state;
}
