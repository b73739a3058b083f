/** The interface of a strategy: its options and its result. */

import type { Controller } from "./auto/controller.ts";
import type { CachePolicy } from "./cache_plan.ts";
import type { DenoiseOptions, DenoiseStep } from "./denoise_step.ts";
import type { Predictor } from "./predictor.ts";
import type { Sequence } from "./sequence.ts";
import type { ProposalResult } from "./strategies/proposal_run.ts";

/** Options of all strategies; each strategy uses some of them. */
export interface StrategyOptions extends DenoiseOptions {
  /**
   * Keys and values that are reused (plain, threshold, factor, lossless, self; commit_verify: the
   * draft's); default `none`.
   */
  readonly cache?: CachePolicy;
  /** Steps of a block between two refreshes of a cache; default: at its first step only. */
  readonly refreshInterval?: number;
  /** Masked positions after the block that a pass attends to (as cache, without commit_verify). */
  readonly suffixWindow?: number;
  /** Least confidence at which a token is committed (threshold); default 0.9. */
  readonly threshold?: number;
  /** Fast-dLLM's factor (factor); default 1. */
  readonly factor?: number;
  /** Limit of steps proposed per round; default 4 (lossless, self) or 2 (commit_verify). */
  readonly depth?: number;
  /** Limit of rounds with proposals per block (all that draft except auto); default: no limit. */
  readonly rounds?: number;
  /** Least confidence of the draft (gate, commit_verify); default 0.9. */
  readonly draftThreshold?: number;
  /** Least confidence of the target (gate, commit_verify); default 0.7. */
  readonly targetThreshold?: number;
  /** Least probability from the target at which a guess is kept (commit_verify); default 0.3. */
  readonly backThreshold?: number;
  /** What auto may choose from; `exact` (default): only ways with the plain schedule's result. */
  readonly quality?: Quality;
  /** The controller with auto's measurements, which auto also updates. */
  readonly controller?: Controller;
}

/** Names of the qualities. */
export const QUALITIES = ["exact", "fast"] as const;

/**
 * What strategy `auto` may choose from. `exact`: only ways that give the answer of `plain`. `fast`:
 * also ways that commit several tokens per step and may give another answer.
 */
export type Quality = typeof QUALITIES[number];

/** The default quality. */
export const EXACT: Quality = "exact";

/** Whether a quality guarantees the plain schedule's result. */
export function isExact(quality: Quality = EXACT): boolean {
  return quality === EXACT;
}

/** The models that a strategy can use. */
export interface Models {
  readonly target: Predictor;
  readonly draft?: Predictor;
}

/** Result and cost of a finished answer. */
export interface StrategyResult extends ProposalResult {
  /** Number of steps per choice of auto. */
  readonly choices?: Readonly<Record<string, number>>;
}

/** A strategy: how it runs, and the options it uses. */
export interface Strategy {
  /**
   * Whether the result equals that of `plain` with the same cache, refresh interval and suffix
   * window, whatever the other options are. For auto this holds with quality `exact`.
   */
  readonly lossless: boolean;
  readonly needsDraft: boolean;
  /** Whether a pass runs what a draft has written in a block a second time, as shadows. */
  readonly judgesShadows?: boolean;
  /** Options of {@linkcode StrategyOptions} that it uses, besides those of `denoise`. */
  readonly uses: readonly (keyof StrategyOptions)[];
  run(
    sequence: Sequence,
    models: Models,
    options: StrategyOptions,
  ): AsyncGenerator<DenoiseStep, StrategyResult, void>;
}
