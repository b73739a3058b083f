/** Finds the fastest tiling from noisy times. */

/** Milliseconds of a tiling, `[round][case]`; a case is a number of rows. */
export type RoundTimes = readonly (readonly number[])[];

/** Least share of time to gain; for less, a changed order of sums is not worth it. */
export const LEAST_GAIN = 0.03;

/**
 * Ratio of a candidate's time to the fixed rule's in every round, as geometric mean of the cases.
 * A disturbance that slows down both in a round cancels out.
 */
export function timeRatios(candidate: RoundTimes, fixed: RoundTimes): number[] {
  return candidate.map((times, round) => {
    const logs = times.map((time, i) => Math.log(time / fixed[round][i]));
    return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length);
  });
}

/** The quantile of `share`, as one of the values. */
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
 * Whether a candidate replaces the fixed rule: it must gain at least {@linkcode LEAST_GAIN} in
 * three of four rounds. With twelve rounds this bounds the median from above with 98 % confidence,
 * for any noise. The rounds must not be those that picked the candidate, since the best of many is
 * partly lucky.
 */
export function isFaster(candidate: RoundTimes, fixed: RoundTimes): boolean {
  return quantile(timeRatios(candidate, fixed), 0.75) <= 1 - LEAST_GAIN;
}
