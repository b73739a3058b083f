/** Plans which positions a denoising step runs, and which keys and values it reuses. */

import type { CanvasStep, PositionRange } from "./predictor.ts";

/** The place of a step in its block and sequence. */
export interface CacheSituation {
  /** Steps of this block before it. */
  readonly stepInBlock: number;
  /** Absolute positions `[blockStart, blockEnd)` of the block. */
  readonly blockStart: number;
  readonly blockEnd: number;
  /** Length of the whole sequence, in positions. */
  readonly length: number;
  /** Steps from one refresh to the next; Infinity: a refresh only at each block's first step. */
  readonly refreshInterval: number;
}

/** Names of the cache policies. */
export const CACHE_POLICIES = ["none", "prefix", "dual"] as const;

/**
 * Which keys and values are reused (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618). `none` runs all
 * positions at every step. The others run all positions at a block's first step and keep the keys
 * and values from before that step's commits. In later steps `prefix` runs all positions from the
 * block's start on, against the kept keys before them. `dual` runs only the block's positions,
 * whose new keys and values replace the kept ones, against all keys.
 */
export type CachePolicy = typeof CACHE_POLICIES[number];

/** Positions that a policy runs between two refreshes; undefined: all, and it keeps nothing. */
const POLICIES: Readonly<
  Record<CachePolicy, (situation: CacheSituation) => PositionRange | undefined>
> = {
  none: () => undefined,
  prefix: ({ blockStart, length }) => ({ first: blockStart, end: length }),
  dual: ({ blockStart, blockEnd }) => ({ first: blockStart, end: blockEnd }),
};

/** The default policy. */
export const NO_CACHE: CachePolicy = "none";

/** The `cache` of a step: which keys and values it keeps and reuses. */
export function cachePlan(policy: CachePolicy, situation: CacheSituation): CanvasStep["cache"] {
  const part = POLICIES[policy](situation);
  if (part === undefined) return undefined;
  return situation.stepInBlock % situation.refreshInterval === 0 || situation.stepInBlock === 0
    ? "refresh"
    : part;
}
