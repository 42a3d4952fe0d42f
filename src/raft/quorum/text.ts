/** Text forms, as etcd's raft prints them in logs, status and test scripts. */

/** Voters in ascending order as "(1 2 a)". */
export function majorityText(ids: readonly bigint[]): string {
  return `(${ids.map((id) => id.toString(16)).join(" ")})`;
}

/** "(1 2 3)&&(1 2)", or the incoming half alone where there is no outgoing one. */
export function jointText(incoming: readonly bigint[], outgoing: readonly bigint[]): string {
  return outgoing.length > 0 ? `${majorityText(incoming)}&&${majorityText(outgoing)}` : majorityText(incoming);
}

export function indexText(index: number): string {
  return index === Infinity ? "∞" : String(index);
}

/**
 * A line per voter with its index behind a bar, the longer the more voters are behind it. `ids` ascend; an undefined
 * index is that of a voter that has not been heard of.
 */
export function acknowledgementsText(ids: readonly bigint[], indexes: readonly (number | undefined)[]): string {
  const count = ids.length;
  if (count === 0) return "<empty majority quorum>";
  let text = `${" ".repeat(count)}    idx\n`;
  for (let i = 0; i < count; i++) {
    const index = indexes[i];
    const behind = indexes.filter((other) => (other ?? 0) < (index ?? 0)).length;
    const bar = index === undefined ? `?${" ".repeat(count)}` : `${"x".repeat(behind)}>${" ".repeat(count - behind)}`;
    text += `${bar} ${String(index ?? 0).padStart(5)}    (id=${ids[i].toString(16)})\n`;
  }
  return text;
}
