/** When requests of a simulated load come. */

import { hash } from "../../denoise/noise.ts";

/**
 * How requests come. `poisson`: each by itself, at random. `bursty`: at random times, 1 to 15 at
 * once, 8 on average.
 */
export const ARRIVALS = ["poisson", "bursty"] as const;
export type Arrivals = typeof ARRIVALS[number];

/** The most that come at once in bursts. */
const MOST_AT_ONCE = 15;

/** Draws uniform numbers in [0, 1); the same seed gives the same numbers. */
export function drawn(seed: number): () => number {
  let count = 0;
  return () => hash(seed, 0, 0, count++) / 2 ** 32;
}

/**
 * Milliseconds at which requests come, ascending.
 * @param perSecond on average
 */
export function arrivalTimes(
  arrivals: Arrivals,
  perSecond: number,
  seconds: number,
  seed: number,
): number[] {
  const draw = drawn(seed);
  const times: number[] = [];
  const most = arrivals === "bursty" ? MOST_AT_ONCE : 1;
  const gap = 1000 / perSecond * (1 + most) / 2;
  for (let at = 0;;) {
    at -= gap * Math.log(1 - draw());
    if (at >= seconds * 1000) return times;
    const together = 1 + Math.floor(most * draw());
    for (let i = 0; i < together; i++) times.push(at);
  }
}
