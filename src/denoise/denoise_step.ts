/** Options of denoising, the steps that it yields, and its result. */

import type { ConfidenceMeasure } from "./confidence.ts";
import type { Commit } from "./prediction.ts";
import type { SamplingOptions } from "./sampling.ts";
import type { Remasking } from "./selection.ts";
import type { Sequence } from "./sequence.ts";

/** Options of denoising a batch; all its sequences share them except the seeds. */
export interface DenoiseOptions {
  /** Tokens per block, a divisor of the generation's length. */
  readonly blockLength: number;
  /** Denoising steps over all blocks, a multiple of the number of blocks. */
  readonly steps: number;
  /** Seeds of the noise, one per sequence, integers in [0, 2^53). */
  readonly seeds: readonly number[];
  /** Which positions are unmasked first; default `low_confidence`. */
  readonly remasking?: Remasking;
  /** Measure of confidence; default `probability`. */
  readonly confidence?: ConfidenceMeasure;
  /** 0 (default) takes the largest logit. */
  readonly temperature?: number;
  /** Changed logits, filters and scores; every step is then read back. Default: none of them. */
  readonly sampling?: SamplingOptions;
  /** Tokens that are never chosen, at most four; default none. */
  readonly bannedTokens?: readonly number[];
  /** Classifier-free guidance; 0 (default) is off. */
  readonly cfgScale?: number;
  /** Whether `eosToken` is never chosen (`logits_eos_inf`); default false. */
  readonly logitsEosInf?: boolean;
  /** Whether none of `endTokens` is ever chosen: for text that goes on behind; default false. */
  readonly banEnds?: boolean;
  /** Blocks that begin before this position, prompt included, choose none of `endTokens`. */
  readonly endsFrom?: number;
  /**
   * Whether positions that chose `eosToken` or `eotToken` are unmasked last
   * (`confidence_eos_eot_inf`); default false. It hides both at every temperature. Above
   * temperature 0 the published code hides only `eotToken`, because its noisy logits are then a
   * separate array.
   */
  readonly confidenceEosEotInf?: boolean;
  /** End-of-text token. */
  readonly eosToken: number;
  /** End-of-turn token, if the vocabulary has one. */
  readonly eotToken?: number;
  /** Tokens that end an answer; the first one in it counts. */
  readonly endTokens: readonly number[];
  /** Whether to stop once every answer is decided up to and including its first end token. */
  readonly stopAtEnd: boolean;
  /** Called after every step; true ends the run, as a decided answer does. */
  readonly finished?: () => boolean;
  /** Range of the schedule's steps to take: the first, and the first not taken; default all. */
  readonly from?: number;
  readonly until?: number;
  /** Steps run on a canvas between two readbacks; default 4. */
  readonly stepsPerReadback?: number;
  /** Aborting it ends the loop before the next step. */
  readonly signal?: AbortSignal;
}

/** One denoising step of a batch. */
export interface DenoiseStep {
  /** Index of the step, from 0. */
  readonly step: number;
  /** Index of the block, from 0. */
  readonly block: number;
  /** Forward passes so far, including this step's; the two halves of guidance count as one. */
  readonly nfe: number;
  /** Positions of the generation from this step on, where it grew before it (free_canvas.ts). */
  readonly grown?: number;
  /** Tokens that were unmasked, per sequence, positions ascending. */
  readonly commits: readonly (readonly Commit[])[];
  /**
   * Guesses that were verified, if the strategy proposes (one sequence). They are those for this
   * step; the last step of a round also has those for later steps, which are dropped with it. The
   * confidences are those of the model that guessed.
   */
  readonly proposed?: readonly Commit[];
  /** Guesses of `proposed` that were not committed at this step. */
  readonly rejected?: readonly Commit[];
  /**
   * Positions that this step masks again, ascending (one sequence): earlier commits, or guesses of
   * this step's round that are taken back.
   */
  readonly remasked?: readonly number[];
}

/** Result and cost of a finished batch. */
export interface DenoiseResult {
  /** The denoised sequences, in the order they were given. */
  readonly sequences: readonly Sequence[];
  /** Number of forward passes. */
  readonly nfe: number;
  /** How often the host waited for predictions or commits. */
  readonly readbacks: number;
  /** Forward passes on a canvas after the work was done; not in `nfe`. */
  readonly idleForwards?: number;
}
