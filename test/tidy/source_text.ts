/** TypeScript source as text for checks that read it: without comments, and with the contents of strings told apart. */

export interface SourceText {
  /** Comments are spaces; line breaks stay, so that positions give line numbers. */
  readonly withoutComments: string;
  /** As above, and what stands inside strings and regular expressions is spaces too. Code inside `${}` stays. */
  readonly codeOnly: string;
}

/** What may stand before a regular expression; elsewhere a slash divides. */
const BEFORE_REGEX =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|new|await))\s*$/;

export function readSource(source: string): SourceText {
  let withoutComments = "";
  let codeOnly = "";
  let index = 0;
  /** Open braces of `${` inside templates: the depth at which each closes. */
  const templateDepths: number[] = [];
  let depth = 0;

  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  const take = (end: number, kind: "code" | "comment" | "text") => {
    const text = source.slice(index, end);
    withoutComments += kind === "comment" ? blank(text) : text;
    codeOnly += kind === "code" ? text : blank(text);
    index = end;
  };
  /** From a template's opening or closing brace to its end or its next `${`. */
  const takeTemplate = () => {
    let end = index;
    while (end < source.length && source[end] !== "`" && !source.startsWith("${", end)) {
      end += source[end] === "\\" ? 2 : 1;
    }
    take(Math.min(end, source.length), "text");
    if (source[index] === "`") return take(index + 1, "code");
    templateDepths.push(depth);
    depth++;
    take(Math.min(index + 2, source.length), "code");
  };

  while (index < source.length) {
    const char = source[index];
    if (source.startsWith("//", index)) {
      const end = source.indexOf("\n", index);
      take(end < 0 ? source.length : end, "comment");
    } else if (source.startsWith("/*", index)) {
      const end = source.indexOf("*/", index + 2);
      take(end < 0 ? source.length : end + 2, "comment");
    } else if (char === '"' || char === "'") {
      take(index + 1, "code");
      take(endOf(source, index, char), "text");
      take(Math.min(index + 1, source.length), "code");
    } else if (char === "`") {
      take(index + 1, "code");
      takeTemplate();
    } else if (char === "/" && BEFORE_REGEX.test(codeOnly.slice(-40))) {
      take(index + 1, "code");
      take(endOf(source, index, "/"), "text");
      take(Math.min(index + 1, source.length), "code");
    } else if (char === "}" && templateDepths.at(-1) === depth - 1) {
      templateDepths.pop();
      depth--;
      take(index + 1, "code");
      takeTemplate();
    } else {
      if (char === "{") depth++;
      if (char === "}") depth--;
      take(index + 1, "code");
    }
  }
  return { withoutComments, codeOnly };
}

/** Where a string or regular expression that `quote` closes ends. A slash inside a character class closes nothing. */
function endOf(source: string, start: number, quote: string): number {
  let isInClass = false;
  let index = start;
  while (index < source.length && source[index] !== "\n") {
    const char = source[index];
    if (char === quote && !isInClass) return index;
    if (quote === "/" && char === "[") isInClass = true;
    if (quote === "/" && char === "]") isInClass = false;
    index += char === "\\" ? 2 : 1;
  }
  return Math.min(index, source.length);
}

/** The line, counted from 1, that holds the character at `position`. */
export function lineNumber(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}
