/** Values of log fields as JSON, in the forms that etcd's logger gives them. */

/**
 * `spaced` puts a space after colons and commas. Never throws: what has no JSON form becomes a text, and what contains
 * itself is cut at MAX_DEPTH.
 */
export function encodeValue(value: unknown, spaced = false, depth = 0): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      if (Number.isFinite(value)) return String(value);
      return Number.isNaN(value) ? '"NaN"' : value > 0 ? '"+Inf"' : '"-Inf"';
    case "bigint":
    case "boolean":
      return String(value);
    case "object":
      break;
    default:
      return value === undefined ? "null" : JSON.stringify(String(value));
  }
  if (value === null) return "null";
  if (value instanceof Error) return JSON.stringify(value.message);
  if (value instanceof Uint8Array) return JSON.stringify(base64(value));
  if (depth === MAX_DEPTH) return '"..."';
  const comma = spaced ? ", " : ",";
  if (Array.isArray(value)) {
    return `[${value.map((element) => encodeValue(element, spaced, depth + 1)).join(comma)}]`;
  }
  return encodeFields(Object.entries(value), spaced, depth + 1);
}

const MAX_DEPTH = 8;

/** An object of these fields; undefined ones are left out. */
export function encodeFields(fields: Iterable<[string, unknown]>, spaced = false, depth = 0): string {
  const parts: string[] = [];
  const colon = spaced ? ": " : ":";
  for (const [name, value] of fields) {
    if (value !== undefined) parts.push(JSON.stringify(name) + colon + encodeValue(value, spaced, depth));
  }
  return `{${parts.join(spaced ? ", " : ",")}}`;
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
