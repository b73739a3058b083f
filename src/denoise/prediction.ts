/** One position: how a token is chosen there, what a model says of it, and what a step makes of that. */

import type { ConfidenceMeasure } from "./confidence.ts";

/** How a token is chosen from a row of logits, and how sure the choice counts. */
export interface TokenChoice {
  /** 0 takes the largest logit; above 0 adds Gumbel noise scaled by it (noise.ts). */
  readonly temperature: number;
  /** Seed of the noise, an integer in [0, 2^53). */
  readonly seed: number;
  /** Denoising step of the request, from 0: with seed, position and token it keys the noise.
   * Positions count from the first that the attention mask shows. */
  readonly step: number;
  /** Tokens whose logit counts as -inf for choice and softmax alike (`logits_eos_inf`). */
  readonly bannedTokens: readonly number[];
  /**
   * Tokens whose logit becomes -inf after the choice and before the softmax that gives confidence
   * (`confidence_eos_eot_inf`); a position that chose one has confidence 0.
   */
  readonly unconfidentTokens: readonly number[];
  /** By which positions are ranked; default `probability`. */
  readonly measure?: ConfidenceMeasure;
}

/** The likeliest token: temperature 0, no token left out. */
export const GREEDY: TokenChoice = {
  temperature: 0,
  seed: 0,
  step: 0,
  bannedTokens: [],
  unconfidentTokens: [],
};

/** Stands in `ForwardInput.judged` for a position at which no token is judged. */
export const NO_TOKEN = 0xffffffff;

/** The model's answer at one position. */
export interface Prediction {
  /** Absolute position in the sequence. */
  readonly position: number;
  /** The chosen token id (`x0` in the published code). */
  readonly token: number;
  /**
   * Odds against the chosen token, `(1 - p) / p`, with p its noise-free softmax probability. Ranking
   * by it ascending ranks by p descending, without p's saturation at 1 in f32. Infinity for p = 0.
   */
  readonly oddsAgainst: number;
  /**
   * The ranking key, lowest first, by the choice's measure: of a confidence c it is `(1 - c) / c`, so
   * for `probability` it is `oddsAgainst`; for `entropy` the entropy itself. With m the largest logit,
   * `s = sum of exp(l - m)` over all tokens but one that has it, and g the second-largest logit's
   * distance from m: margin `(s + exp(-g)) / (1 - exp(-g))`, Infinity at g = 0; entropy
   * `log1p(s) + (sum of exp(l - m) (m - l)) / (1 + s)`. Infinity where an unconfident token was chosen,
   * whatever the measure.
   */
  readonly uncertainty: number;
  /** p itself, `1 / (1 + oddsAgainst)` (`x0_p` in the published code). */
  readonly confidence: number;
  /** Natural logarithm of p. */
  readonly logProbability: number;
  /** Natural logarithm of the sum of `exp(logit)` over the softmax's tokens. */
  readonly logSumExp: number;
  /**
   * Noise-free probability of the token that was judged here, 0 for one that the softmax leaves out.
   * Absent where none was.
   */
  readonly judgedConfidence?: number;
}

/** A token fixed at a position. */
export interface Commit {
  /** Absolute position in the sequence. */
  readonly position: number;
  /** The token id. */
  readonly token: number;
  /** Its noise-free probability at the step that committed it. */
  readonly confidence: number;
  /** Natural logarithm of that probability. */
  readonly logProbability: number;
}
