/** Steps of a block that is repeated until it holds no mask, with their cache and suffix window. */

import { cachePlan, type CachePolicy, NO_CACHE } from "../cache_plan.ts";
import { canvasStep } from "../denoise.ts";
import type { DenoiseOptions } from "../denoise_step.ts";
import type { CanvasStep, Commit } from "../predictor.ts";
import type { PlannedStep } from "../schedule.ts";
import { isBegun, type Sequence } from "../sequence.ts";

/** Options of what a forward pass caches and attends to. */
export interface PassOptions extends DenoiseOptions {
  /** Which keys and values are reused; default `none`. */
  readonly cache?: CachePolicy;
  /** Steps of a block from one refresh to the next; default: a refresh only at its first step. */
  readonly refreshInterval?: number;
  /**
   * Masked positions after the block that a pass attends to; later ones are left out of the pass
   * (suffix pruning, as in Streaming-dLLM). Default: all.
   */
  readonly suffixWindow?: number;
}

/**
 * Whether a block is repeated until it holds no mask, instead of following the plain schedule: with a
 * cache or suffix window, and where part of the generation is given, so that the schedule would take
 * too many steps. A run that goes on midway (`from`) follows the schedule, as it began.
 */
export function repeatsBlocks(
  sequence: Sequence,
  { cache = NO_CACHE, suffixWindow, from = 0 }: PassOptions,
): boolean {
  return cache !== NO_CACHE || suffixWindow !== undefined || (from === 0 && isBegun(sequence));
}

/** Number of masked positions in a block. */
export function masksLeft(sequence: Sequence, block: number, blockLength: number): number {
  const { ids, promptLength, maskToken } = sequence;
  const first = promptLength + block * blockLength;
  return ids.subarray(first, first + blockLength)
    .reduce((count, id) => id === maskToken ? count + 1 : count, 0);
}

/**
 * Makes a step of a block for a canvas.
 * @param schedule commits of the block's steps; steps after it, which a committed mask token makes
 * necessary, commit one position each
 * @param step index of the step in the request, from 0
 * @param stepInBlock index of the step in the block, from 0
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
 * Whether a block is given up after a step. It is if a step after the schedule committed only mask
 * tokens, since that could repeat forever.
 */
export function givesUp(
  schedule: readonly PlannedStep[],
  stepInBlock: number,
  commits: readonly Commit[],
  maskToken: number,
): boolean {
  return stepInBlock >= schedule.length && commits.every(({ token }) => token === maskToken);
}
