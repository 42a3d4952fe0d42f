/**
 * Durations as Go writes and reads them ("7s", "100ms", "1h0m0s"): etcd's flags, logs and error texts are full of them.
 * In the program a duration is a number of milliseconds, with a fraction.
 */

const NANOSECONDS_PER_UNIT: Record<string, number> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3, // micro sign
  "\u03bcs": 1e3, // Greek mu
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const MAX_NANOSECONDS = 2 ** 63;

/** Go's `Duration.String`: the largest unit below a second that fits, above it hours, minutes and seconds. */
export function formatDuration(milliseconds: number): string {
  const sign = milliseconds < 0 ? "-" : "";
  const nanoseconds = Math.round(Math.abs(milliseconds) * 1e6);
  if (nanoseconds === 0) return "0s";
  if (nanoseconds < 1e3) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${sign}${decimal(nanoseconds, 1e3)}\u00b5s`;
  if (nanoseconds < 1e9) return `${sign}${decimal(nanoseconds, 1e6)}ms`;
  const seconds = `${decimal(nanoseconds % 60e9, 1e9)}s`;
  const minutes = Math.floor(nanoseconds / 60e9);
  if (minutes === 0) return sign + seconds;
  const hours = Math.floor(minutes / 60);
  if (hours === 0) return `${sign}${minutes}m${seconds}`;
  return `${sign}${hours}h${minutes % 60}m${seconds}`;
}

/** `nanoseconds / unit` without trailing zeros, exact: no floating-point digits of the division may show. */
function decimal(nanoseconds: number, unit: number): string {
  const whole = Math.floor(nanoseconds / unit);
  const rest = nanoseconds - whole * unit;
  if (rest === 0) return String(whole);
  const digits = String(rest).padStart(String(unit).length - 1, "0").replace(/0+$/, "");
  return `${whole}.${digits}`;
}

/** Go's `time.ParseDuration`, in milliseconds. Undefined if Go would refuse the text. */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)(.*)$/s.exec(text)!;
  const sign = match[1] === "-" ? -1 : 1;
  let rest = match[2];
  if (rest === "0") return 0;
  if (rest === "") return undefined;
  let nanoseconds = 0;
  while (rest !== "") {
    const part = /^(\d+\.?\d*|\.\d+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/.exec(rest);
    if (part === null) return undefined;
    nanoseconds += Math.floor(Number(part[1]) * NANOSECONDS_PER_UNIT[part[2]]);
    if (nanoseconds >= MAX_NANOSECONDS) return undefined;
    rest = rest.slice(part[0].length);
  }
  return sign * nanoseconds / 1e6;
}

/** Why Go refuses a text that `parseDuration` does not read, in the words of its `time` package. */
export function durationProblem(text: string): string {
  const quoted = JSON.stringify(text);
  const invalid = `time: invalid duration ${quoted}`;
  let rest = text.replace(/^[+-]/, "");
  while (rest !== "") {
    const number = /^(\d+\.?\d*|\.\d+)/.exec(rest);
    if (number === null) return invalid;
    rest = rest.slice(number[0].length);
    const unit = /^[^.\d]*/.exec(rest)![0];
    if (unit === "") return `time: missing unit in duration ${quoted}`;
    if (!Object.hasOwn(NANOSECONDS_PER_UNIT, unit)) {
      return `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`;
    }
    rest = rest.slice(unit.length);
  }
  return invalid;
}
