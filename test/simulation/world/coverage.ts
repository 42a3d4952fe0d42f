/** How often the world met each kind of fault, state and code path. */
export class Coverage {
  readonly counts = new Map<string, number>();

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  add(other: Coverage): void {
    for (const [name, count] of other.counts) this.count(name, count);
  }
}
