/** What a strategy is, what it is told, and what it comes to. */

import type { Controller } from "./auto/controller.ts";
import type { CachePolicy } from "./cache_plan.ts";
import type { DenoiseOptions, DenoiseStep } from "./denoise_step.ts";
import type { Predictor } from "./predictor.ts";
import type { Sequence } from "./sequence.ts";
import type { ProposalResult } from "./strategies/proposal_run.ts";

/** What a strategy may be told; each uses what concerns it. */
export interface StrategyOptions extends DenoiseOptions {
  /**
   * Keys and values that are reused (plain, threshold, factor, lossless, self; commit_verify: the
   * draft's); default `none`.
   */
  readonly cache?: CachePolicy;
  /** Steps of a block between two refreshes of a cache; default: at its first step only. */
  readonly refreshInterval?: number;
  /** Masked positions behind the block that a pass still sees (as a cache, but not commit_verify). */
  readonly suffixWindow?: number;
  /** Least confidence that is committed (threshold); default 0.9. */
  readonly threshold?: number;
  /** Fast-dLLM's factor (factor); default 1. */
  readonly factor?: number;
  /** Steps proposed a round, at most; default 4 (lossless, self) or 2 (commit_verify). */
  readonly depth?: number;
  /** Rounds with proposals a block, at most (all that draft but auto); default: no bound. */
  readonly rounds?: number;
  /** Least confidence of the draft (gate, commit_verify); default 0.9. */
  readonly draftThreshold?: number;
  /** Least confidence of the target (gate, commit_verify); default 0.7. */
  readonly targetThreshold?: number;
  /** Least probability that the target gives a guess which stays (commit_verify); default 0.3. */
  readonly backThreshold?: number;
  /** What auto may choose: `exact` (default) is only what gives the plain schedule's result. */
  readonly quality?: Quality;
  /** What auto has learnt and learns on. */
  readonly controller?: Controller;
}

/** The qualities there are. */
export const QUALITIES = ["exact", "fast"] as const;

/**
 * What strategy `auto` may choose: `exact`, only what gives the answer of `plain`; `fast`, also what
 * commits several tokens a step and may give another.
 */
export type Quality = typeof QUALITIES[number];

/** The quality where none is named. */
export const EXACT: Quality = "exact";

/** Whether a quality keeps to what gives the plain schedule's result. */
export function isExact(quality: Quality = EXACT): boolean {
  return quality === EXACT;
}

/** The models at hand. */
export interface Models {
  readonly target: Predictor;
  readonly draft?: Predictor;
}

/** What a finished answer cost and came to. */
export interface StrategyResult extends ProposalResult {
  /** What auto chose: steps by choice. */
  readonly choices?: Readonly<Record<string, number>>;
}

/** What a strategy is and needs. */
export interface Strategy {
  /**
   * Whether the result equals that of `plain` under the same cache, refresh interval and suffix window,
   * whatever else is asked for; auto's with quality `exact`.
   */
  readonly lossless: boolean;
  readonly needsDraft: boolean;
  /** Options of {@linkcode StrategyOptions} that it uses, besides those of `denoise`. */
  readonly uses: readonly (keyof StrategyOptions)[];
  run(
    sequence: Sequence,
    models: Models,
    options: StrategyOptions,
  ): AsyncGenerator<DenoiseStep, StrategyResult, void>;
}
