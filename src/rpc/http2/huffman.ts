/**
 * The Huffman code of HPACK (RFC 7541, appendix B). The code is canonical: among codes of one length the values count
 * up with the symbol, so the lengths alone define it.
 *
 * Decoding walks an automaton four bits at a time. No code is shorter than five bits, so a step emits one symbol at most:
 *
 *   step = state * 16 + nibble  ->  next state << 9 | emits << 8 | symbol
 */

/** Code length of each byte 0..255, then of the end-of-string symbol. */
// deno-fmt-ignore
const CODE_LENGTHS = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
];

const END_OF_STRING = 256;
const ROOT = 0;
/** Reached by the end-of-string code, which must not occur (RFC 7541, section 5.2). */
const FAILED = 256;
const EMITS = 0x100;

const codes = new Uint32Array(CODE_LENGTHS.length);
const steps = new Uint32Array((FAILED + 1) * 16);
/** 1 for states in which a string may end: fewer than eight bits read since the last symbol, all of them ones. */
const mayEnd = new Uint8Array(FAILED + 1);

buildTables();

function buildTables(): void {
  const order = CODE_LENGTHS.map((_, symbol) => symbol).sort((a, b) => CODE_LENGTHS[a] - CODE_LENGTHS[b] || a - b);
  let code = 0;
  let length = CODE_LENGTHS[order[0]];
  for (const symbol of order) {
    code *= 2 ** (CODE_LENGTHS[symbol] - length);
    length = CODE_LENGTHS[symbol];
    codes[symbol] = code++;
  }

  // The binary tree: inner nodes 0..255 are the automaton's states, leaves are ~symbol.
  const children: [number, number][] = [[FAILED, FAILED]];
  for (const symbol of order) {
    let node = ROOT;
    for (let bit = CODE_LENGTHS[symbol] - 1; bit > 0; bit--) {
      const side = codes[symbol] >>> bit & 1;
      if (children[node][side] === FAILED) {
        children.push([FAILED, FAILED]);
        children[node][side] = children.length - 1;
      }
      node = children[node][side];
    }
    children[node][codes[symbol] & 1] = ~symbol;
  }

  for (let state = 0; state < FAILED; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state;
      let emitted = 0;
      for (let bit = 3; bit >= 0 && node !== FAILED; bit--) {
        node = children[node][nibble >> bit & 1];
        if (node === ~END_OF_STRING) node = FAILED;
        else if (node < 0) {
          emitted = EMITS | ~node;
          node = ROOT;
        }
      }
      steps[state * 16 + nibble] = node << 9 | emitted;
    }
  }
  for (let nibble = 0; nibble < 16; nibble++) steps[FAILED * 16 + nibble] = FAILED << 9;

  let node = ROOT;
  for (let ones = 0; ones < 8; ones++) {
    mayEnd[node] = 1;
    node = children[node][1];
  }
}

/** Most bytes that `size` coded bytes can decode to: the shortest code has five bits. */
export function huffmanDecodedSizeMax(size: number): number {
  return Math.floor(size * 8 / 5);
}

/** Decodes `source[start, end)` into `target` from its beginning; returns the size, or -1 where the coding is invalid. */
export function huffmanDecode(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = ROOT;
  let size = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i];
    let step = steps[state << 4 | byte >> 4];
    if (step & EMITS) target[size++] = step & 0xff;
    step = steps[step >> 9 << 4 | byte & 15];
    if (step & EMITS) target[size++] = step & 0xff;
    state = step >> 9;
  }
  return mayEnd[state] === 1 ? size : -1;
}

/** Size of `source` when coded. */
export function huffmanEncodedSize(source: Uint8Array): number {
  let bits = 0;
  for (let i = 0; i < source.length; i++) bits += CODE_LENGTHS[source[i]];
  return bits + 7 >> 3;
}

/** Writes the code of `source` to `target` at `offset`; returns the offset behind it. */
export function huffmanEncode(source: Uint8Array, target: Uint8Array, offset: number): number {
  let pending = 0;
  let bits = 0;
  for (let i = 0; i < source.length; i++) {
    const length = CODE_LENGTHS[source[i]];
    // Seven bits can be left over, and a code has up to thirty: two steps keep every shift below 32 bits.
    let rest = length;
    while (rest > 0) {
      const take = rest < 16 ? rest : 16;
      rest -= take;
      pending = pending << take | codes[source[i]] >>> rest & 0xffff >> 16 - take;
      bits += take;
      while (bits >= 8) {
        bits -= 8;
        target[offset++] = pending >> bits & 0xff;
      }
      pending &= 0xff;
    }
  }
  if (bits > 0) target[offset++] = (pending << 8 - bits | 0xff >> bits) & 0xff;
  return offset;
}
