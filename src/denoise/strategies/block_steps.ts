/** The steps of a block that is repeated until it holds no mask, and what each keeps and sees. */

import { cachePlan, type CachePolicy, NO_CACHE } from "../cache_plan.ts";
import { canvasStep } from "../denoise.ts";
import type { DenoiseOptions } from "../denoise_step.ts";
import type { CanvasStep, Commit } from "../predictor.ts";
import type { PlannedStep } from "../schedule.ts";
import type { Sequence } from "../sequence.ts";

/** What a forward pass keeps and sees. */
export interface PassOptions extends DenoiseOptions {
  /** Which keys and values are reused; default `none`. */
  readonly cache?: CachePolicy;
  /** Steps of a block from one refresh to the next; default: its first step only. */
  readonly refreshInterval?: number;
  /**
   * Masked positions behind the block that a pass still sees; those further away are left out of it
   * (suffix pruning, as in Streaming-dLLM). Default all.
   */
  readonly suffixWindow?: number;
}

/** Whether a block is repeated until it holds no mask, instead of following the plain schedule. */
export function repeatsBlocks({ cache = NO_CACHE, suffixWindow }: PassOptions): boolean {
  return cache !== NO_CACHE || suffixWindow !== undefined;
}

/** Masked positions of a block. */
export function masksLeft(sequence: Sequence, block: number, blockLength: number): number {
  const { ids, promptLength, maskToken } = sequence;
  const first = promptLength + block * blockLength;
  return ids.subarray(first, first + blockLength)
    .reduce((count, id) => id === maskToken ? count + 1 : count, 0);
}

/**
 * A step of a block as a canvas takes it.
 * @param schedule of the block; behind it, where a mask token itself was committed, it is one at a time
 * @param step of the request, from 0
 * @param stepInBlock of the block, from 0
 */
export function blockStep(
  sequence: Sequence,
  schedule: readonly PlannedStep[],
  { step, stepInBlock }: { readonly step: number; readonly stepInBlock: number },
  options: PassOptions,
): CanvasStep {
  const { cache = NO_CACHE, refreshInterval = Infinity, suffixWindow } = options;
  const { promptLength, ids } = sequence;
  const planned = schedule[stepInBlock] ?? { ...schedule[0], commits: 1 };
  const blockEnd = promptLength + planned.blockEnd;
  const blockStart = blockEnd - options.blockLength;
  const horizon = suffixWindow === undefined || blockEnd + suffixWindow >= ids.length
    ? undefined
    : blockEnd + suffixWindow;
  const length = horizon ?? ids.length;
  const situation = { stepInBlock, blockStart, blockEnd, length, refreshInterval };
  return {
    ...canvasStep(planned, step, promptLength, options),
    blockStart,
    cache: cachePlan(cache, situation),
    horizon,
  };
}

/**
 * Whether a block is given up behind a step: behind its schedule nothing but mask tokens were committed,
 * and the same might follow for ever.
 */
export function givesUp(
  schedule: readonly PlannedStep[],
  stepInBlock: number,
  commits: readonly Commit[],
  maskToken: number,
): boolean {
  return stepInBlock >= schedule.length && commits.every(({ token }) => token === maskToken);
}
