/** A table in the form in which the tools of etcd draw it: everything to the right, the header in capitals, centred. */
export function tableText(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const titles = header.map((title) => title.toUpperCase());
  const widths = titles.map((title, column) =>
    Math.max(displayWidth(title), ...rows.map((row) => displayWidth(row[column])))
  );
  const rule = (left: string, middle: string, right: string) =>
    left + widths.map((width) => "─".repeat(width + 2)).join(middle) + right;
  const line = (cells: readonly string[]) => `│ ${cells.join(" │ ")} │`;
  return [
    rule("┌", "┬", "┐"),
    line(titles.map((title, column) => centred(title, widths[column]))),
    rule("├", "┼", "┤"),
    ...rows.map((row) => line(row.map((cell, column) => " ".repeat(widths[column] - displayWidth(cell)) + cell))),
    rule("└", "┴", "┘"),
  ].map((text) => `${text}\n`).join("");
}

/** The odd space goes to the right. */
function centred(text: string, width: number): string {
  const missing = width - displayWidth(text);
  const left = Math.floor(missing / 2);
  return " ".repeat(left) + text + " ".repeat(missing - left);
}

function displayWidth(text: string): number {
  return [...text].length;
}
