/** Which tiling is the fastest, from times that are not exact. */

/** Milliseconds of a tiling: `[round][case]`, cases being numbers of rows. */
export type RoundTimes = readonly (readonly number[])[];

/** A smaller share of the fixed rule's time is no gain: other tiles change the order of sums. */
export const LEAST_GAIN = 0.03;

/**
 * A candidate's time over the fixed rule's in every round, the geometric mean of the cases. What slows
 * both down in a round cancels.
 */
export function timeRatios(candidate: RoundTimes, fixed: RoundTimes): number[] {
  return candidate.map((times, round) => {
    const logs = times.map((time, i) => Math.log(time / fixed[round][i]));
    return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  });
}

/** The value below which `share` of the values lie, as one of them. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}

/** Index of the candidate with the lowest median ratio; the first of equals. */
export function mostPromising(candidates: readonly RoundTimes[], fixed: RoundTimes): number {
  const medians = candidates.map((times) => quantile(timeRatios(times, fixed), 0.5));
  return medians.indexOf(Math.min(...medians));
}

/**
 * Whether a candidate replaces the fixed rule: it gained at least {@linkcode LEAST_GAIN} in three of
 * four rounds. Of twelve rounds that is an upper bound of the median with 98 % confidence, whatever the
 * noise is like. They must be other rounds than those it was found in: the best of many is partly lucky.
 */
export function isFaster(candidate: RoundTimes, fixed: RoundTimes): boolean {
  return quantile(timeRatios(candidate, fixed), 0.75) <= 1 - LEAST_GAIN;
}
