/** RFC 3339, as Go writes times in JSON: "2026-11-23T01:02:03.000000004+01:00". */

const DAY_MS = 24 * 60 * 60 * 1000;

/** The time in UTC. */
export function timestampOf(wallMs: number): string {
  const days = Math.floor(wallMs / DAY_MS);
  const ms = Math.floor(wallMs - days * DAY_MS);
  const { year, month, day } = dateOf(days);
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
  const hours = Math.floor(ms / 3_600_000);
  const minutes = Math.floor(ms / 60_000) % 60;
  const seconds = Math.floor(ms / 1000) % 60;
  return `${date}T${pad(hours, 2)}:${pad(minutes, 2)}:${pad(seconds, 2)}.${pad(ms % 1000, 3)}Z`;
}

/** Milliseconds since the Unix epoch; undefined: it is no time. */
export function msFromTimestamp(text: string): number | undefined {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hours, minutes, seconds] = match.slice(1, 7).map(Number);
  if (month < 1 || month > 12) return undefined;
  const ms = ((hours * 60 + minutes) * 60 + seconds + Number(match[7] ?? 0)) * 1000;
  const offsetMs = match[8] === undefined ? 0 : (Number(match[9]) * 60 + Number(match[10])) * 60_000;
  return daysTo(year, month, day) * DAY_MS + ms - (match[8] === "-" ? -offsetMs : offsetMs);
}

// Years begin in March here, so that the day that may be missing is the last one. There are 146097 days in 400 years.

function daysTo(year: number, month: number, day: number): number {
  const years = month > 2 ? year : year - 1;
  const era = Math.floor(years / 400);
  const yearOfEra = years - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

function dateOf(days: number): { year: number; month: number; day: number } {
  const since = days + 719468;
  const era = Math.floor(since / 146097);
  const dayOfEra = since - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  return {
    year: era * 400 + yearOfEra + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1,
  };
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
