/** Which masked positions are unmasked first. */

import type { CanvasStep, Commit, Prediction, SelectionRule } from "./predictor.ts";
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
  low_confidence: (candidate) => Math.fround(candidate.uncertainty),
  random: (candidate, { seed, step, origin = 0 }) =>
    randomRank(seed, step, candidate.position - origin),
};

/** The selections there are. */
export const REMASKINGS = Object.keys(KEYS) as readonly Remasking[];

/** How many of the ranked candidates pass, by rule; uncertainties `1 / c - 1` ascend. */
const PASSING: {
  readonly [K in SelectionRule["kind"]]: (
    uncertainties: readonly number[],
    rule: Extract<SelectionRule, { kind: K }>,
  ) => number;
} = {
  count: ({ length }) => length,
  threshold: (uncertainties, { threshold }) => {
    const most = Math.fround(1 / threshold - 1);
    const failing = uncertainties.findIndex((value, i) => i > 0 && value > most);
    return failing < 0 ? uncertainties.length : failing;
  },
  factor: (uncertainties, { factor }) => {
    const failing = uncertainties.findIndex((value, i) => {
      const least = 1 - factor / (i + 2);
      return i > 0 && least > 0 && value > 1 / least - 1;
    });
    return failing < 0 || failing === uncertainties.length - 1 ? uncertainties.length : failing;
  },
};

/** The rules there are. */
export const SELECTION_RULES = Object.keys(PASSING) as readonly SelectionRule["kind"][];

/** How many candidates a rule lets pass. @param uncertainties ascending, as in `Prediction` */
export function passing(uncertainties: readonly number[], rule: SelectionRule): number {
  const pass = PASSING[rule.kind] as (
    uncertainties: readonly number[],
    rule: SelectionRule,
  ) => number;
  return pass(uncertainties, rule);
}

/**
 * The first `count` candidates of the ranking, all of them when there are fewer; with a rule, those of
 * them that it lets pass.
 * @param predictions one per candidate, in any order
 * @returns positions ascending
 */
export function selectCommits(
  predictions: readonly Prediction[],
  count: number,
  ranking: Ranking,
  rule: SelectionRule = { kind: "count" },
): Commit[] {
  const key = KEYS[ranking.remasking];
  const ranked = predictions
    .map((prediction) => ({ prediction, key: key(prediction, ranking) }))
    .sort((a, b) => {
      // Not a difference: two keys may both be Infinity.
      if (a.key !== b.key) return a.key < b.key ? -1 : 1;
      return a.prediction.position - b.prediction.position;
    })
    .map(({ prediction }) => prediction);
  const uncertainties = ranked.map((candidate) => Math.fround(candidate.uncertainty));
  return ranked
    .slice(0, Math.min(count, passing(uncertainties, rule)))
    .map(({ position, token, confidence, logProbability }) => ({
      position,
      token,
      confidence,
      logProbability,
    }))
    .sort((a, b) => a.position - b.position);
}
