import { bytesFromLatin1 } from "../../base/bytes.ts";

const strictDecoder = new TextDecoder("utf-8", { fatal: true });
const ESCAPES = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ['"', '\\"'],
  ["\\", "\\\\"],
]);

/** Text as Go's %q prints it. `value` has one unit per byte, as header values have. */
export function goQuote(value: string): string {
  const text = headerText(value);
  let quoted = '"';
  for (const char of text) {
    const escape = ESCAPES.get(char);
    if (escape !== undefined) quoted += escape;
    else if (char < " " || char === "\x7f" || (text === value && char > "\x7f")) {
      quoted += `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
    } else quoted += char;
  }
  return quoted + '"';
}

/** A header value as text: decoded where its bytes are UTF-8, else as it is. */
export function headerText(value: string): string {
  for (let i = 0; i < value.length; i++) {
    if (value.charCodeAt(i) < 0x80) continue;
    try {
      return strictDecoder.decode(bytesFromLatin1(value));
    } catch {
      return value;
    }
  }
  return value;
}
