/** What happened, line by line, for people. A line is only made where somebody wants to read it. */
export class Story {
  readonly lines: string[] = [];
  readonly isWanted: boolean;
  readonly #nowMs: () => number;

  constructor(isWanted: boolean, nowMs: () => number) {
    this.isWanted = isWanted;
    this.#nowMs = nowMs;
  }

  tell(text: () => string): void {
    if (this.isWanted) this.lines.push(`${this.#nowMs().toFixed(1).padStart(9)} ms  ${text()}`);
  }
}
