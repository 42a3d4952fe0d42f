import type { Flag, FlagValue } from "./flag.ts";

/** The flags of a command with what they were set to. */
export class FlagValues {
  readonly #flags = new Map<string, Flag>();
  readonly #values = new Map<string, FlagValue>();

  constructor(flags: readonly Flag[]) {
    for (const flag of flags) this.#flags.set(flag.name, flag);
  }

  /** By name, sorted. */
  flags(): Flag[] {
    return [...this.#flags.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  }

  find(name: string): Flag | undefined {
    return this.#flags.get(name);
  }

  findShorthand(letter: string): Flag | undefined {
    return this.flags().find((flag) => flag.shorthand === letter);
  }

  /** Sets a flag to a value of its kind. Lists given several times are joined. */
  set(flag: Flag, value: FlagValue): void {
    const earlier = this.#values.get(flag.name);
    const isList = flag.kind === "strings" && earlier !== undefined;
    this.#values.set(flag.name, isList ? [...earlier as string[], ...value as string[]] : value);
  }

  isSet(name: string): boolean {
    return this.#values.has(name);
  }

  string(name: string): string {
    return this.value(name) as string;
  }

  strings(name: string): readonly string[] {
    return this.value(name) as readonly string[];
  }

  boolean(name: string): boolean {
    return this.value(name) as boolean;
  }

  integer(name: string): bigint {
    return this.value(name) as bigint;
  }

  /** Milliseconds. */
  duration(name: string): number {
    return this.value(name) as number;
  }

  value(name: string): FlagValue {
    const flag = this.#flags.get(name);
    if (flag === undefined) throw new Error(`this command has no flag ${name}`);
    return this.#values.get(name) ?? flag.defaultValue;
  }
}
