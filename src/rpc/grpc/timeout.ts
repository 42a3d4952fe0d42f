import { goQuote } from "./go_quote.ts";

const UNIT_MS = new Map<string, number>([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

/** Parses a `grpc-timeout` into milliseconds; where it is malformed, returns grpc-go's text about it. */
export function parseTimeout(value: string): number | string {
  if (value.length < 2) return `transport: timeout string is too short: ${goQuote(value)}`;
  if (value.length > 9) return `transport: timeout string is too long: ${goQuote(value)}`;
  const unitMs = UNIT_MS.get(value[value.length - 1]);
  if (unitMs === undefined) return `transport: timeout unit is not recognized: ${goQuote(value)}`;
  let amount = 0;
  for (let i = 0; i < value.length - 1; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return `strconv.ParseUint: parsing ${goQuote(value.slice(0, -1))}: invalid syntax`;
    amount = amount * 10 + digit;
  }
  return amount * unitMs;
}
