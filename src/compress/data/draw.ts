/**
 * Random numbers of training. Each is a pure function of a seed, what it is for, and a number or two:
 * a run that goes on after a stop draws what it would have drawn.
 */

import { hash, uniform } from "../../denoise/noise.ts";

/** What a number is drawn for. Draws for different purposes are independent. */
export const PURPOSE = {
  order: 1,
  file: 2,
  ratio: 3,
  stratum: 4,
  mask: 5,
  state: 6,
  block: 7,
  padding: 8,
  paddedTo: 9,
  window: 10,
  corpus: 11,
} as const;

/** One of {@linkcode PURPOSE}. */
export type Purpose = typeof PURPOSE[keyof typeof PURPOSE];

/**
 * A uniform number in (0, 1).
 * @param seed integer in [0, 2^53)
 * @param index which sample, integer in [0, 2^32)
 * @param place which number of it, integer in [0, 2^32)
 */
export function draw(seed: number, purpose: Purpose, index: number, place = 0): number {
  return uniform(hash(seed, index, place, purpose));
}

/** A uniform whole number in [0, count), with the arguments of {@linkcode draw}. */
export function drawBelow(
  count: number,
  seed: number,
  purpose: Purpose,
  index: number,
  place = 0,
): number {
  return Math.floor(draw(seed, purpose, index, place) * count);
}

/** The quantile function of Beta(2, 2), whose distribution function is `3 x^2 - 2 x^3`. */
export function betaQuantile(u: number): number {
  return 0.5 - Math.sin(Math.asin(1 - 2 * u) / 3);
}

const ROUNDS = 6;

/**
 * Where a seeded permutation of `[0, count)` takes an index. Nothing is stored: a Feistel network over
 * the next power of four, run again while the result is not below `count` (Black and Rogaway 2002,
 * "Ciphers with Arbitrary Finite Domains").
 * @param count at most 2^32
 * @param round which permutation, such as the epoch
 */
export function permuted(
  index: number,
  count: number,
  { seed, purpose, round }: {
    readonly seed: number;
    readonly purpose: Purpose;
    readonly round: number;
  },
): number {
  if (!(index >= 0 && index < count)) {
    throw new RangeError(`index is ${index}, expected below ${count}`);
  }
  let half = 1;
  while (4 ** half < count) half++;
  const size = 2 ** half;
  let at = index;
  do {
    let left = Math.floor(at / size);
    let right = at % size;
    for (let turn = 0; turn < ROUNDS; turn++) {
      // The high bits mix best.
      const bits = hash(seed, round, right, purpose + 256 * (turn + 1)) / 2 ** 32;
      [left, right] = [right, left ^ Math.floor(bits * size)];
    }
    at = left * size + right;
  } while (at >= count);
  return at;
}
