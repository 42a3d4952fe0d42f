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
 * Parses JSON in which numbers under the key "id" may have 64 bits: they come out as text. A string cannot look like this
 * key: its quotes would be escaped, and no colon follows a value. Throws SyntaxError.
 */
export function parseWithIds(json: string): unknown {
  return JSON.parse(json.replace(/("id"\s*:\s*)(\d+)(?=\s*[,}])/g, '$1"$2"'));
}

/** An id as `parseWithIds` leaves it. Undefined: it is none, or does not fit in 64 bits. */
export function idFromValue(value: unknown): bigint | undefined {
  if (typeof value !== "string" || !/^\d+$/.test(value)) return undefined;
  const id = BigInt(value);
  return id === BigInt.asUintN(64, id) ? id : undefined;
}
