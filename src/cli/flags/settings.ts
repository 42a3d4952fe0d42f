/** What the operator has set, whether by flag, by environment variable or in a file, over the defaults of the table. */

import { defaultValue, findFlag, type Flag, type FlagValue, readValue } from "./table.ts";
import { effectiveGates, FEATURE_GATES } from "./values.ts";

export type Source = "flag" | "environment" | "file";

export interface Setting {
  readonly flag: Flag;
  readonly value: FlagValue;
  /** As it was written. */
  readonly text: string;
  readonly source: Source;
}

export class Settings {
  readonly #settings = new Map<string, Setting>();

  /** Replaces an earlier setting. Throws an Error with Go's text if `text` is no value of the flag. */
  set(flag: Flag, text: string, source: Source): void {
    this.setValue(flag, readValue(flag, text), text, source);
  }

  /** For a value that a configuration file holds in another form than a flag does. */
  setValue(flag: Flag, value: FlagValue, text: string, source: Source): void {
    this.#settings.set(flag.name, { flag, value, text, source });
  }

  isSet(name: string): boolean {
    return this.#settings.has(name);
  }

  /** In the order in which they were first set. */
  all(): Setting[] {
    return [...this.#settings.values()];
  }

  string(name: string): string {
    return this.#value(name) as string;
  }

  boolean(name: string): boolean {
    return this.#value(name) as boolean;
  }

  /** Integers as they are, durations in milliseconds. */
  number(name: string): number {
    return this.#value(name) as number;
  }

  list(name: string): readonly string[] {
    return this.#value(name) as readonly string[];
  }

  /** Every feature gate of etcd, and whether it is on. */
  gates(): ReadonlyMap<string, boolean> {
    return effectiveGates(this.#value("feature-gates") as ReadonlyMap<string, boolean>);
  }

  #value(name: string): FlagValue {
    const setting = this.#settings.get(name);
    return setting === undefined ? defaultValue(findFlag(name)!) : setting.value;
  }
}

/** True if the setting asks for nothing that the default does not give. */
export function asksForDefault(setting: Setting): boolean {
  if (setting.value instanceof Map) {
    return [...effectiveGates(setting.value)].every(([name, value]) => FEATURE_GATES[name] === value);
  }
  return JSON.stringify(setting.value) === JSON.stringify(defaultValue(setting.flag));
}
