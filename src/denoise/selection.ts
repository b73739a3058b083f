/** Selects the masked positions to unmask first. */

import { randomRank } from "./noise.ts";
import type { Commit, Prediction } from "./prediction.ts";

/** Names of the rankings of masked positions. */
export const REMASKINGS = ["low_confidence", "random"] as const;

/**
 * How masked positions are ranked. `low_confidence`: by the choice's measure of confidence, so that
 * the least confident stay masked longest. `random`: by noise keyed by seed, step and position. A
 * ranking without a number in `src/kernels/commit.ts` is run by {@linkcode selectCommits}, with a
 * readback per step.
 */
export type Remasking = typeof REMASKINGS[number];

/** The key of a step's noise. */
export interface NoiseKey {
  /** Seed of the noise, as in `TokenChoice`. */
  readonly seed: number;
  /** Denoising step of the request, as in `TokenChoice`. */
  readonly step: number;
  /** First visible position of the sequence; the noise counts positions from it; default 0. */
  readonly origin?: number;
}

/** A way to rank candidates. */
interface Ranker {
  /** What it ranks by, as errors word it. */
  readonly by: string;
  /** A candidate's key: the lowest is unmasked first, ties go to the lower position. */
  key(candidate: Prediction, noise: NoiseKey): number;
}

/** Keys of the rankings. They are f32, as on the GPU, so that ties are the same there. */
const RANKERS: Readonly<Record<Remasking, Ranker>> = {
  low_confidence: { by: "confidence", key: (candidate) => Math.fround(candidate.uncertainty) },
  random: {
    by: "noise",
    key: ({ position }, { seed, step, origin = 0 }) => randomRank(seed, step, position - origin),
  },
};

/** The default ranking, and the only one in which confidences descend. */
export const BY_CONFIDENCE: Remasking = "low_confidence";

/** What a ranking ranks by, as errors word it. */
export function rankedBy(remasking: Remasking): string {
  return RANKERS[remasking].by;
}

/** The order of candidates at one step. */
export interface Ranking extends NoiseKey {
  readonly remasking: Remasking;
}

/**
 * Which of the ranked candidates a step commits. Let c be their confidences by the step's measure,
 * largest first. A rule that compares c needs a probability or a margin.
 * `count`: as many as the step's `commits`. `threshold`: all with c >= threshold, and always the first.
 * `factor`: those before the first i > 0 with c_i < 1 - factor / (i + 2); if only the last one
 * fails, it is committed too (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618, and its published code).
 */
export type SelectionRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

/** The default rule: the schedule says how many. */
export const COUNT: SelectionRule = { kind: "count" };

/** Number of ranked candidates that pass each rule; uncertainties `1 / c - 1` ascend. */
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

/** Names of the rules. */
export const SELECTION_RULES = Object.keys(PASSING) as readonly SelectionRule["kind"][];

/** Whether a rule compares confidences; otherwise the schedule says how many pass. */
export function comparesConfidence(rule: SelectionRule): boolean {
  return rule.kind !== COUNT.kind;
}

/** Number of candidates that pass a rule. @param uncertainties ascending, as in `Prediction` */
export function passing(uncertainties: readonly number[], rule: SelectionRule): number {
  const pass = PASSING[rule.kind] as (
    uncertainties: readonly number[],
    rule: SelectionRule,
  ) => number;
  return pass(uncertainties, rule);
}

/** The commit of a prediction. */
export function asCommit(
  { position, token, confidence, logProbability, scores }: Prediction,
): Commit {
  return { position, token, confidence, logProbability, ...scores && { scores } };
}

/**
 * Selects the first `count` candidates of the ranking, or all if there are fewer. With a rule, it
 * selects those of them that pass the rule.
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
      // Compared without subtracting, because both keys may be Infinity.
      if (a.key !== b.key) return a.key < b.key ? -1 : 1;
      return a.prediction.position - b.prediction.position;
    })
    .map(({ prediction }) => prediction);
  const uncertainties = ranked.map((candidate) => Math.fround(candidate.uncertainty));
  return ranked
    .slice(0, Math.min(count, passing(uncertainties, rule)))
    .map(asCommit)
    .sort((a, b) => a.position - b.position);
}
