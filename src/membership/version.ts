/** A version as etcd compares and saves it: major, minor, patch, and what follows them. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** Pre-release and metadata with their signs; empty in every version that clusters agree on. */
  readonly suffix: string;
}

const PATTERN = /^(\d+)\.(\d+)\.(\d+)([-+][\w.+-]*)?$/;

/** Undefined: not in dotted-tri format. */
export function parseVersion(text: string): Version | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]), suffix: match[4] ?? "" };
}

export function versionText({ major, minor, patch, suffix }: Version): string {
  return `${major}.${minor}.${patch}${suffix}`;
}

/** Negative, 0 or positive; suffixes do not count. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}
