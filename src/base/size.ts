/** Sizes in bytes as etcd's logs write them ("2.1 GB"): decimal units, a decimal place below ten. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function formatSize(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  const rounded = Math.round(value * 10) / 10;
  return `${rounded < 10 ? rounded.toFixed(1) : roundHalfToEven(rounded)} ${UNITS[unit]}`;
}

/** As Go's formatting does: 20.5 becomes 20. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  return value - floor === 0.5 && floor % 2 === 0 ? floor : Math.round(value);
}
