/** What denoising is told, what it yields at each step, and what it comes to. */

import type { ConfidenceMeasure } from "./confidence.ts";
import type { Commit } from "./prediction.ts";
import type { Remasking } from "./selection.ts";
import type { Sequence } from "./sequence.ts";

/** How a batch is denoised; the same for all its sequences, seeds apart. */
export interface DenoiseOptions {
  /** Tokens per block, a divisor of the generation's length. */
  readonly blockLength: number;
  /** Denoising steps over all blocks, a multiple of the number of blocks. */
  readonly steps: number;
  /** Seeds of the noise, one per sequence, integers in [0, 2^53). */
  readonly seeds: readonly number[];
  /** Which positions are unmasked first; default `low_confidence`. */
  readonly remasking?: Remasking;
  /** What ranks them by confidence; default `probability`. */
  readonly confidence?: ConfidenceMeasure;
  /** 0 (default) takes the largest logit. */
  readonly temperature?: number;
  /** Classifier-free guidance; 0 (default) is off. */
  readonly cfgScale?: number;
  /** Never choose `eosToken` (`logits_eos_inf`); default false. */
  readonly logitsEosInf?: boolean;
  /**
   * Unmask positions that chose `eosToken` or `eotToken` last (`confidence_eos_eot_inf`); default
   * false. Hides both at every temperature: the published code hides only `eotToken` above
   * temperature 0, a side effect of its noisy logits then being a separate array.
   */
  readonly confidenceEosEotInf?: boolean;
  /** End of text. */
  readonly eosToken: number;
  /** End of turn, where the vocabulary has one. */
  readonly eotToken?: number;
  /** Tokens of which the first one ends the answer. */
  readonly endTokens: readonly number[];
  /** Stop once every answer is decided up to and with its first end token. */
  readonly stopAtEnd: boolean;
  /** Asked after every step: true ends the run, as an answer that is decided does. */
  readonly finished?: () => boolean;
  /** First step of the schedule that is taken, and the first that is not; default all of them. */
  readonly from?: number;
  readonly until?: number;
  /** Steps run on a canvas between two readbacks; default 4. */
  readonly stepsPerReadback?: number;
  /** Ends the loop before its next step. */
  readonly signal?: AbortSignal;
}

/** One denoising step of a batch. */
export interface DenoiseStep {
  /** From 0. */
  readonly step: number;
  /** From 0. */
  readonly block: number;
  /** Forward passes up to and with this step's; guidance's two halves count as one. */
  readonly nfe: number;
  /** What was unmasked, per sequence, positions ascending. */
  readonly commits: readonly (readonly Commit[])[];
  /**
   * Guesses that were verified, where a strategy proposes (one sequence): those for this step, and
   * at a round's last step those for the steps behind it, which go with it. Confidences are the
   * guesser's.
   */
  readonly proposed?: readonly Commit[];
  /** Those of `proposed` that were not committed at this step. */
  readonly rejected?: readonly Commit[];
  /**
   * Positions that this step masks again, ascending (one sequence): committed before, or guessed at
   * in this step's round and taken back.
   */
  readonly remasked?: readonly number[];
}

/** What a finished batch cost and came to. */
export interface DenoiseResult {
  /** In the order they were given. */
  readonly sequences: readonly Sequence[];
  /** Forward passes run. */
  readonly nfe: number;
  /** How often predictions or commits were waited for. */
  readonly readbacks: number;
  /** Forward passes run on a canvas after there was nothing left to do; not in `nfe`. */
  readonly idleForwards?: number;
}
