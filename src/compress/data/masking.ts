/** Chooses which tokens of a sample the model has to predict, and how much each counts. */

import { betaQuantile, draw, drawBelow, permuted, PURPOSE } from "./draw.ts";
import type { PaddedSample, SampleKey } from "./padding.ts";

/** How masks are drawn and weighed. */
export interface MaskingOptions {
  /**
   * The share t of masked tokens. `beta`: Beta(2, 2), clipped to [low, high]; `uniform`: uniform in
   * [low, high].
   */
  readonly ratio: {
    readonly shape: "beta" | "uniform";
    readonly low: number;
    readonly high: number;
  };
  /** A token is masked with probability p = (1 - floor) t + floor. */
  readonly floor: number;
  /** Share of the canvases that are a state of block-wise decoding: see {@linkcode maskSample}. */
  readonly blockShare: number;
  /** Tokens of a block. */
  readonly blockLength: number;
  /** Share of the conversations that show a prefix of the answer and mask all behind it. */
  readonly prefixShare: number;
  /** Share of the conversations whose answer is masked whole: where decoding begins. */
  readonly wholeShare: number;
  /** Share of the conversations whose prompt is masked like the answer. */
  readonly plainShare: number;
  /** Weight of padding, of all but its first token. */
  readonly paddingWeight: number;
  /** What a masked token's weight is multiplied by: 1, or 1/p and at most `mostWeight`. */
  readonly weighting: "one" | "inverse";
  readonly mostWeight: number;
  /**
   * What the loss of a step is divided by. `weights`: the sum of all weights, a weighted mean.
   * `length`: LLaDA's own, each answer's length and the number of samples; of plain texts all tokens.
   */
  readonly divideBy: "weights" | "length";
  /** Shows every sample twice, with a mask and with its complement. */
  readonly complementary: boolean;
}

/** The card's distillation, and the states that models/CORPUS.md adds. */
export const DISTIL_MASKING: MaskingOptions = {
  ratio: { shape: "beta", low: 0.15, high: 0.85 },
  floor: 0,
  blockShare: 0.35,
  blockLength: 32,
  prefixShare: 0,
  wholeShare: 0,
  plainShare: 0.1,
  paddingWeight: 0.25,
  weighting: "one",
  mostWeight: Infinity,
  divideBy: "weights",
  complementary: false,
};

/** LLaDA's objective: t uniform, weight 1/p (Nie et al. 2025, Eq. (3) and Eq. (5)). */
export const TRAIN_MASKING: MaskingOptions = {
  ratio: { shape: "uniform", low: 0, high: 1 },
  floor: 0.001,
  blockShare: 0,
  blockLength: 32,
  prefixShare: 0,
  wholeShare: 0,
  plainShare: 0,
  paddingWeight: 1,
  weighting: "inverse",
  mostWeight: Infinity,
  divideBy: "length",
  complementary: false,
};

/** One sequence of a batch: what is hidden, and what the model is asked. */
export interface MaskedSample {
  readonly sample: PaddedSample;
  /** Positions that hold the mask token, ascending. */
  readonly masked: readonly number[];
  /** Those whose prediction counts, ascending. */
  readonly asked: readonly number[];
  /** Weight of each asked position, before it is divided. */
  readonly weights: readonly number[];
  /** Tokens that could have been masked: by them LLaDA divides. */
  readonly length: number;
}

/** A sample's place among those of its step: mask ratios are spread evenly over a step. */
export interface Stratum {
  readonly step: number;
  readonly slot: number;
  readonly slots: number;
}

/**
 * Masks a sample; with `complementary`, the second sequence masks what the first does not.
 *
 * - At random: each token of the answer and its padding with probability p, independently.
 * - Block: of a canvas, blocks before the current one are visible, in it tokens are masked with
 *   probability p, later ones are masked whole.
 * - Prefix: the first tokens are visible, a share 1 - p of them, all others masked.
 * - Whole: no token of the answer is visible.
 *
 * What is masked whole has p = 1. With complementary masks it is asked in the first sequence only, and
 * has p = 1/2, so that its weight is what the two sequences give to any other token.
 */
export function maskSample(
  sample: PaddedSample,
  options: MaskingOptions,
  key: SampleKey,
  stratum: Stratum,
): MaskedSample[] {
  const p = maskProbability(options, key, stratum);
  const state = stateOf(sample, options, key);
  const start = state === "plain" ? 0 : sample.promptLength;
  const end = sample.ids.length;
  const [from, to] = state === "block"
    ? blockOf(sample, options, key)
    : state === "prefix"
    ? prefixOf(sample, p)
    : state === "whole"
    ? [start, start]
    : [start, end];
  const hidden = (position: number) => draw(key.seed, PURPOSE.mask, key.number, position) < p;
  const whole = options.complementary ? 0.5 : 1;
  const view = (isSecond: boolean): MaskedSample => {
    const masked: number[] = [];
    const asked: number[] = [];
    const weights: number[] = [];
    for (let position = from; position < end; position++) {
      const isWhole = position >= to;
      if (!isWhole && hidden(position) === isSecond) continue;
      masked.push(position);
      if (isWhole && isSecond) continue;
      asked.push(position);
      const chance = isWhole ? whole : isSecond ? 1 - p : p;
      weights.push(weightOf(position, chance, sample, options));
    }
    return { sample, masked, asked, weights, length: end - start };
  };
  return options.complementary ? [view(false), view(true)] : [view(false)];
}

function weightOf(
  position: number,
  p: number,
  { answerEnd }: PaddedSample,
  { paddingWeight, weighting, mostWeight }: MaskingOptions,
): number {
  const padding = position > answerEnd ? paddingWeight : 1;
  return padding * (weighting === "one" ? 1 : Math.min(1 / p, mostWeight));
}

/** p of a sample. The samples of a step lie in equal parts of the distribution, one in each. */
function maskProbability(
  { ratio: { shape, low, high }, floor }: MaskingOptions,
  { seed, number }: SampleKey,
  { step, slot, slots }: Stratum,
): number {
  const part = permuted(slot, slots, { seed, purpose: PURPOSE.stratum, round: step });
  const u = (part + draw(seed, PURPOSE.ratio, number)) / slots;
  const t = shape === "beta"
    ? Math.min(high, Math.max(low, betaQuantile(u)))
    : low + (high - low) * u;
  return (1 - floor) * t + floor;
}

function stateOf(
  { kind, isCanvas }: PaddedSample,
  { blockShare, prefixShare, wholeShare, plainShare }: MaskingOptions,
  { seed, number }: SampleKey,
): "random" | "block" | "prefix" | "whole" | "plain" {
  if (kind === "text") return "random";
  if (draw(seed, PURPOSE.state, number, 0) < plainShare) return "plain";
  if (draw(seed, PURPOSE.state, number, 1) < prefixShare) return "prefix";
  if (draw(seed, PURPOSE.state, number, 3) < wholeShare) return "whole";
  return isCanvas && draw(seed, PURPOSE.state, number, 2) < blockShare ? "block" : "random";
}

/** Nothing is left to chance behind the prefix. */
function prefixOf(
  { ids, promptLength, answerEnd }: PaddedSample,
  p: number,
): [from: number, to: number] {
  const shown = Math.round((1 - p) * (answerEnd - promptLength));
  const from = Math.min(ids.length - 1, promptLength + shown);
  return [from, from];
}

function blockOf(
  { ids, promptLength }: PaddedSample,
  { blockLength }: MaskingOptions,
  { seed, number }: SampleKey,
): [from: number, to: number] {
  const blocks = Math.ceil((ids.length - promptLength) / blockLength);
  const from = promptLength + blockLength * drawBelow(blocks, seed, PURPOSE.block, number);
  return [from, Math.min(ids.length, from + blockLength)];
}
