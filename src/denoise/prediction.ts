/** Values of one position: how its token is chosen, the model's prediction, and a step's commit. */

import type { ConfidenceMeasure } from "./confidence.ts";

/** How a token is chosen from a row of logits, and how its confidence is measured. */
export interface TokenChoice {
  /** 0 takes the largest logit; a higher value scales the Gumbel noise that is added (noise.ts). */
  readonly temperature: number;
  /** Seed of the noise, an integer in [0, 2^53). */
  readonly seed: number;
  /**
   * Denoising step of the request, from 0. Step, seed, position and token key the noise. Positions
   * are counted from the first one that the attention mask shows.
   */
  readonly step: number;
  /** Tokens whose logit counts as -inf for both choice and softmax (`logits_eos_inf`). */
  readonly bannedTokens: readonly number[];
  /**
   * Tokens whose logit counts as -inf for the softmax of the confidence, but not for the choice
   * (`confidence_eos_eot_inf`). A position that chose one has confidence 0.
   */
  readonly unconfidentTokens: readonly number[];
  /** Measure by which positions are ranked; default `probability`. */
  readonly measure?: ConfidenceMeasure;
  /** Changed logits, filters and scores; absent: none of them. */
  readonly sampling?: TokenSampling;
}

/** What happens to a token's logit: repetition first, then the offset. */
export interface LogitChange {
  /** Token id. */
  readonly token: number;
  /** Divides a positive logit and multiplies another one. */
  readonly repetition: number;
  /** Added; -Infinity bans the token. */
  readonly offset: number;
}

/**
 * How a token is sampled. With l the changed logits and p their softmax over all tokens that are not
 * banned, a token passes if its p is among the `topK` largest, among the largest that make up the
 * share `topP` of those that pass topK, and at least `minP` times the largest p. Tokens that tie with
 * the last one pass too; the likeliest always passes. The choice is among tokens that pass, the
 * confidence is within the softmax of l over all tokens.
 */
export interface TokenSampling {
  /** From 1; absent: all pass. */
  readonly topK?: number;
  /** In [0, 1]; absent: all pass. */
  readonly topP?: number;
  /** In [0, 1]; absent: all pass. */
  readonly minP?: number;
  /** Changes of logits, each token once. */
  readonly changes: readonly LogitChange[];
  /** Number of likeliest tokens in {@linkcode TokenScores}; absent: no scores. */
  readonly likeliest?: number;
}

/** A token and its log-softmax over all tokens, of the logits as the model gives them. */
export interface ScoredToken {
  /** Token id. */
  readonly token: number;
  /** Natural logarithm. */
  readonly logProbability: number;
}

/** Scores within the softmax over all tokens, of the logits as the model gives them. */
export interface TokenScores {
  /** Log-softmax of the chosen token. */
  readonly logProbability: number;
  /** The likeliest tokens, the first first. */
  readonly likeliest: readonly ScoredToken[];
}

/** The choice of the likeliest token: temperature 0, with no token left out. */
export const GREEDY: TokenChoice = {
  temperature: 0,
  seed: 0,
  step: 0,
  bannedTokens: [],
  unconfidentTokens: [],
};

/** The entry of `ForwardInput.judged` for a position at which no token is judged. */
export const NO_TOKEN = 0xffffffff;

/** The model's prediction at one position. */
export interface Prediction {
  /** Absolute position in the sequence. */
  readonly position: number;
  /** The chosen token id (`x0` in the published code). */
  readonly token: number;
  /**
   * Odds against the chosen token, `(1 - p) / p`, with p its noise-free softmax probability.
   * Ascending odds rank like descending p, but do not saturate as p does at 1 in f32. Infinity for
   * p = 0.
   */
  readonly oddsAgainst: number;
  /**
   * The ranking key by the choice's measure; the lowest comes first. For a confidence c it is
   * `(1 - c) / c`, so for `probability` it equals `oddsAgainst`. For `entropy` it is the entropy
   * itself. With m the largest logit, `s = sum of exp(l - m)` over all tokens but one with logit m,
   * and g the distance of the second-largest logit from m, margin is `(s + exp(-g)) / (1 -
   * exp(-g))`, Infinity at g = 0, and entropy is `log1p(s) + (sum of exp(l - m) (m - l)) / (1 +
   * s)`. By any measure it is Infinity if an unconfident token was chosen.
   */
  readonly uncertainty: number;
  /** p itself, `1 / (1 + oddsAgainst)` (`x0_p` in the published code). */
  readonly confidence: number;
  /** Natural logarithm of p. */
  readonly logProbability: number;
  /** Natural logarithm of the sum of `exp(logit)` over the softmax's tokens. */
  readonly logSumExp: number;
  /**
   * Noise-free probability of the token that was judged here, 0 if the softmax leaves it out.
   * Absent if no token was judged.
   */
  readonly judgedConfidence?: number;
  /** Present if the choice's sampling asks for it. */
  readonly scores?: TokenScores;
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
  /** Scores at that step, if the choice's sampling asks for them. */
  readonly scores?: TokenScores;
}
