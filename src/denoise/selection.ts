/** Which masked positions are unmasked first. */

import { randomRank } from "./noise.ts";
import type { Commit, Prediction } from "./prediction.ts";

/** The rankings of masked positions there are. */
export const REMASKINGS = ["low_confidence", "random"] as const;

/**
 * What ranks the masked positions: `low_confidence`, the choices' measure of confidence, so that the
 * least sure stay masked longest; `random`, noise keyed by seed, step and position. One that has no
 * number in `src/kernels/commit.ts` is run by {@linkcode selectCommits}, with a readback a step.
 */
export type Remasking = typeof REMASKINGS[number];

/** What the noise of a step is keyed by. */
export interface NoiseKey {
  /** Seed of the noise, as in `TokenChoice`. */
  readonly seed: number;
  /** Denoising step of the request, as in `TokenChoice`. */
  readonly step: number;
  /** The sequence's first visible position, from which the noise counts; default 0. */
  readonly origin?: number;
}

/** A way to rank candidates. */
interface Ranker {
  /** What it goes by, in an error's words. */
  readonly by: string;
  /** A candidate's key: the lowest is unmasked first, ties go to the lower position. */
  key(candidate: Prediction, noise: NoiseKey): number;
}

/** A candidate's key, by ranking; each in f32, as the GPU twin compares, so that the two tie alike. */
const RANKERS: Readonly<Record<Remasking, Ranker>> = {
  low_confidence: { by: "confidence", key: (candidate) => Math.fround(candidate.uncertainty) },
  random: {
    by: "noise",
    key: ({ position }, { seed, step, origin = 0 }) => randomRank(seed, step, position - origin),
  },
};

/** The ranking where none is named, and the only one along which confidences descend. */
export const BY_CONFIDENCE: Remasking = "low_confidence";

/** What a ranking goes by, in an error's words. */
export function rankedBy(remasking: Remasking): string {
  return RANKERS[remasking].by;
}

/** How candidates are ordered at one step. */
export interface Ranking extends NoiseKey {
  readonly remasking: Remasking;
}

/**
 * Which of the ranked candidates a step commits, c their confidences by the step's measure, largest
 * first; that must be a probability or a margin for a rule that compares c.
 * `count`: as many as the step's `commits`. `threshold`: all with c >= threshold, and always the first.
 * `factor`: those before the first i > 0 with c_i < 1 - factor / (i + 2); when only the last fails it is
 * committed too (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618, and its published code).
 */
export type SelectionRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

/** The rule where none is named: the schedule says how many. */
export const COUNT: SelectionRule = { kind: "count" };

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

/** Whether a rule compares confidences; else the schedule says how many pass. */
export function comparesConfidence(rule: SelectionRule): boolean {
  return rule.kind !== COUNT.kind;
}

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
  rule: SelectionRule = COUNT,
): Commit[] {
  const { key } = RANKERS[ranking.remasking];
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
