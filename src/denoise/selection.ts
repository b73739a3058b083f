/** Which masked positions are unmasked first. */

import type { CanvasStep, Commit, Prediction } from "./predictor.ts";
import { randomRank } from "./noise.ts";

/** Name of a selection. */
export type Remasking = CanvasStep["remasking"];

/** How candidates are ordered at one step. */
export interface Ranking {
  /** By confidence, or by seeded noise. */
  readonly remasking: Remasking;
  /** Seed of the noise, as in `TokenChoice`. */
  readonly seed: number;
  /** Denoising step of the request, as in `TokenChoice`. */
  readonly step: number;
  /** The sequence's first visible position, from which the noise counts; default 0. */
  readonly origin?: number;
}

/** A candidate's key, by selection: the lowest is unmasked first, ties go to the lower position. */
const KEYS: Readonly<Record<Remasking, (candidate: Prediction, ranking: Ranking) => number>> = {
  // In f32, as the GPU twin compares, so that the two tie alike.
  low_confidence: (candidate) => Math.fround(candidate.oddsAgainst),
  random: (candidate, { seed, step, origin = 0 }) =>
    randomRank(seed, step, candidate.position - origin),
};

/** The selections there are. */
export const REMASKINGS = Object.keys(KEYS) as readonly Remasking[];

/**
 * The first `count` candidates of the ranking, all of them when there are fewer.
 * @param predictions one per candidate, in any order
 * @returns positions ascending
 */
export function selectCommits(
  predictions: readonly Prediction[],
  count: number,
  ranking: Ranking,
): Commit[] {
  const key = KEYS[ranking.remasking];
  return predictions
    .map((prediction) => ({ prediction, key: key(prediction, ranking) }))
    .sort((a, b) => {
      // Not a difference: two keys may both be Infinity.
      if (a.key !== b.key) return a.key < b.key ? -1 : 1;
      return a.prediction.position - b.prediction.position;
    })
    .slice(0, count)
    .map(({ prediction: { position, token, confidence, logProbability } }) => ({
      position,
      token,
      confidence,
      logProbability,
    }))
    .sort((a, b) => a.position - b.position);
}
