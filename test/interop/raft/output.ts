/** What a directive prints; nothing while the level of the log is "none", except errors. */
export class Output {
  isQuiet = false;
  #text = "";

  get isEmpty(): boolean {
    return this.#text === "";
  }

  write(text: string): void {
    if (!this.isQuiet) this.#text += text;
  }

  /** Returns what was written, and begins anew. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Indents the lines that `action` writes. */
  indent(action: () => void): void {
    const before = this.take();
    try {
      action();
    } finally {
      const lines = this.take().split("\n");
      if (lines.at(-1) === "") lines.pop();
      this.#text = before + lines.map((line) => `  ${line}\n`).join("");
    }
  }
}
