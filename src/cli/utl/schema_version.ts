/** Versions of the database's schema: only the first two numbers count. */

export interface SchemaVersion {
  readonly major: number;
  readonly minor: number;
}

/** "3.7.0", "3.7"; undefined for anything else. */
export function parseSchemaVersion(text: string): SchemaVersion | undefined {
  const match = /^(\d+)\.(\d+)(?:\.\d+)?$/.exec(text);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** Negative: `a` is the older one. */
export function compareVersions(a: SchemaVersion, b: SchemaVersion): number {
  return a.major === b.major ? a.minor - b.minor : a.major - b.major;
}

/** "3.7" */
export function shortText({ major, minor }: SchemaVersion): string {
  return `${major}.${minor}`;
}

/** "3.7.0" */
export function longText(version: SchemaVersion): string {
  return `${shortText(version)}.0`;
}
