/** Which positions a denoising step runs, and which keys and values it reuses. */

import type { CanvasStep, PositionRange } from "./predictor.ts";

/** Where a step stands. */
export interface CacheSituation {
  /** Steps of this block before it. */
  readonly stepInBlock: number;
  /** Absolute positions `[blockStart, blockEnd)` of the block. */
  readonly blockStart: number;
  readonly blockEnd: number;
  /** Positions of the whole sequence. */
  readonly length: number;
  /** Steps from one refresh to the next; Infinity refreshes at each block's first step only. */
  readonly refreshInterval: number;
}

/**
 * The policies (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618). `none` runs everything at every step.
 * The others run everything at a block's first step and keep the keys and values, those from before
 * that step's commits. Then `prefix` runs all positions from the block's start on against what was
 * kept before them; `dual` runs the block's positions only, whose fresh keys and values replace the
 * kept ones, against everything.
 */
const POLICIES: Readonly<
  Record<CachePolicy, (situation: CacheSituation) => PositionRange | undefined>
> = {
  none: () => undefined,
  prefix: ({ blockStart, length }: CacheSituation) => ({ first: blockStart, end: length }),
  dual: ({ blockStart, blockEnd }: CacheSituation) => ({ first: blockStart, end: blockEnd }),
};

/**
 * Keys and values that a step reuses, as they were at the last refresh: `none`; `prefix`, those before
 * the block; `dual`, those before it and behind it (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618).
 */
export type CachePolicy = "none" | "prefix" | "dual";

/** The policies there are. */
export const CACHE_POLICIES = Object.keys(POLICIES) as readonly CachePolicy[];

/** What a step does with keys and values. */
export function cachePlan(policy: CachePolicy, situation: CacheSituation): CanvasStep["cache"] {
  const part = POLICIES[policy](situation);
  if (part === undefined) return undefined;
  return situation.stepInBlock % situation.refreshInterval === 0 || situation.stepInBlock === 0
    ? "refresh"
    : part;
}
