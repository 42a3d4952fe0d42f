/**
 * The JSON that Go writes, as far as members need it (frozen: in the log and on disk): ids are numbers of 64 bits, which
 * JSON.stringify cannot write nor JSON.parse read exactly, and text is escaped for HTML.
 */

/** A string as Go's encoding/json writes it. */
export function jsonString(text: string): string {
  return JSON.stringify(text).replaceAll(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** A list of strings; an empty one is null, as a slice in Go that nobody made. */
export function jsonStrings(texts: readonly string[]): string {
  return texts.length === 0 ? "null" : `[${texts.map(jsonString).join(",")}]`;
}

/**
 * The number under the key "id", exactly. A string cannot look like this key: its quotes would be escaped, and no colon
 * follows a value. Undefined: there is none, or it does not fit in 64 bits.
 */
export function jsonId(json: string): bigint | undefined {
  return jsonIds(json)[0];
}

/** All of them, in their order; from the first that does not fit on, none. */
export function jsonIds(json: string): bigint[] {
  const ids: bigint[] = [];
  for (const [, digits] of json.matchAll(/"id"\s*:\s*(\d+)/g)) {
    const id = BigInt(digits);
    if (id !== BigInt.asUintN(64, id)) break;
    ids.push(id);
  }
  return ids;
}
