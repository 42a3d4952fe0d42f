/** What must not stand in any tracked file, and how to find it. */

interface Rule {
  readonly name: string;
  readonly pattern: RegExp;
  /** Files it is about. Default: all. */
  readonly files?: RegExp;
}

export const REPOSITORY_RULES: readonly Rule[] = [
  {
    name: "a path of somebody's machine",
    pattern: /(?<![\w.~$}-])\/(?:home|Users|root|work|workspace|mnt)\/[\w.]/,
  },
  { name: "a path of somebody's machine", pattern: /\b[A-Z]:\\(?:Users|Windows)\\/ },
  {
    name: "the host of a package registry",
    pattern:
      /\bregistry\.(?:npmjs|yarnpkg|npmmirror)\.|\bproxy\.golang\.org|\bsum\.golang\.org|\bpythonhosted\.org|\bpypi\.org|\bnpm\.jsr\.io/,
  },
  {
    name: "a place for work to be done later",
    pattern: /\b(?:TO[D]O|FIX[M]E|X{3})\b/,
    files: /\.(?:ts|proto|go|py|js|sh)$/,
  },
  {
    name: "a test that does not run, or stops others from running",
    pattern: /\b(?:test|it|describe)\.(?:skip|only|todo|failing|skipIf|todoIf)\b|\bt\.Skip\(/,
    files: /^test\//,
  },
];

/** Binary and generated files, where a match means nothing. */
const UNREADABLE = /\.(?:png|ico|gz|db|wal|snap|bin|sum)$|^src\/gen\//;

/** One line per offence: path, line number, what is wrong, the line. */
export function checkText(path: string, text: string): string[] {
  if (UNREADABLE.test(path)) return [];
  const offences: string[] = [];
  const rules = REPOSITORY_RULES.filter((rule) => rule.files === undefined || rule.files.test(path));
  for (const [index, line] of text.split("\n").entries()) {
    for (const rule of rules) {
      if (rule.pattern.test(line)) offences.push(`${path}:${index + 1}: ${rule.name}: ${line.trim().slice(0, 200)}`);
    }
  }
  return offences;
}

/** The lock file must not say where packages were fetched from: that is the business of whoever fetches them. */
export function checkLockFile(text: string): string[] {
  const { packages } = JSON.parse(text) as { packages: Record<string, { resolved?: string; integrity?: string }> };
  const offences: string[] = [];
  for (const [name, entry] of Object.entries(packages)) {
    if (entry.resolved !== undefined) offences.push(`package-lock.json: ${name} is resolved to ${entry.resolved}`);
    if (name !== "" && entry.integrity === undefined) offences.push(`package-lock.json: ${name} has no integrity`);
  }
  return offences;
}
