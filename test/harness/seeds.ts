/** Seeds of random tests: the fixed ones, and new ones where a run asks for them. */

/** Seeds that KEELSON_SEED adds: this many, from it on. */
const NEW_SEEDS = 4;

/** The fixed seeds, and with KEELSON_SEED=N in the environment N and the next ones: what CI sets, to look further each time. */
export function seeds(fixed: readonly number[]): number[] {
  const first = Number(process.env.KEELSON_SEED ?? "");
  if (!Number.isSafeInteger(first) || first <= 0) return [...fixed];
  return [...fixed, ...Array.from({ length: NEW_SEEDS }, (_, i) => first + i)];
}
