/** Block by block until no mask is left: parallel decoding and kept keys and values. */

import { cachePlan, type CachePolicy, checkCache } from "./cache_plan.ts";
import {
  canvasStep,
  checkBatch,
  type DenoiseOptions,
  type DenoiseResult,
  type DenoiseStep,
} from "./denoise.ts";
import type { CanvasStep, Predictor, SelectionRule } from "./predictor.ts";
import { planSteps } from "./schedule.ts";
import { applyCommits, decidedUpToEnd, generationLength, type Sequence } from "./sequence.ts";
import { openRunner } from "./step_runner.ts";

/** How a sequence is denoised block by block. */
export interface BlockOptions extends DenoiseOptions {
  /** `count` commits by the schedule of `steps`; with the others `steps` plays no part. */
  readonly rule: SelectionRule;
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

/**
 * Fast-dLLM's sampler (Wu et al. 2025, arXiv 2505.22618): a block is repeated until it holds no mask.
 * Candidates are the block's masked positions; the rule says which of them are committed.
 *
 * On a canvas steps run in chunks; a step behind the one that completed its block finds no candidate,
 * does nothing, and is neither yielded nor counted in `nfe`, but in `idleForwards`.
 * @throws as {@linkcode denoise}, and {@linkcode RangeError} for more than one sequence, guidance with
 * a cache, or a rule out of range
 */
export async function* denoiseBlocks(
  sequence: Sequence,
  predictor: Predictor,
  options: BlockOptions,
): AsyncGenerator<DenoiseStep, DenoiseResult, void> {
  const { signal, rule, cache = "none", refreshInterval = Infinity, suffixWindow } = options;
  checkBatch([sequence], options);
  checkRule(options);
  checkCache(options);
  const { blockLength } = options;
  const genLength = generationLength(sequence);
  const steps = rule.kind === "count" ? options.steps : genLength;
  const plan = planSteps({ genLength, blockLength, steps });
  signal?.throwIfAborted();
  const runner = await openRunner([sequence], predictor, options);
  let state = sequence;
  let nfe = 0;
  let idleForwards = 0;
  let readbacks = 0;
  const finished = () =>
    options.finished?.() || (options.stopAtEnd && decidedUpToEnd(state, options.endTokens));
  try {
    for (let block = 0; block < genLength / blockLength && !finished(); block++) {
      const blockStart = sequence.promptLength + block * blockLength;
      const blockEnd = blockStart + blockLength;
      const horizon = suffixWindow === undefined || blockEnd + suffixWindow >= state.ids.length
        ? undefined
        : blockEnd + suffixWindow;
      const schedule = plan.filter((planned) => planned.block === block);
      const masked = () =>
        state.ids.subarray(blockStart, blockEnd)
          .reduce((count, id) => id === state.maskToken ? count + 1 : count, 0);
      let stepInBlock = 0;
      for (let left = masked(); left > 0 && !finished(); left = masked()) {
        signal?.throwIfAborted();
        const length = Math.min(runner.chunkLength, left);
        const chunk = Array.from({ length }, (_, i): CanvasStep => {
          const index = stepInBlock + i;
          // Behind the schedule, where a mask token itself was committed: one at a time.
          const planned = schedule[index] ?? { ...schedule[0], commits: 1 };
          const situation = {
            stepInBlock: index,
            blockStart,
            blockEnd,
            length: horizon ?? state.ids.length,
            refreshInterval,
          };
          return {
            ...canvasStep(planned, nfe + i, sequence.promptLength, options),
            commits: rule.kind === "count" ? planned.commits : blockLength,
            blockStart,
            rule,
            cache: cachePlan(cache, situation),
            horizon,
          };
        });
        const commitsByStep = await runner.run(chunk, [state]);
        readbacks++;
        let idle = 0;
        let progress = false;
        for (const [i, commits] of commitsByStep.entries()) {
          signal?.throwIfAborted();
          if (idle > 0 || (commits[0].length === 0 && chunk[i].commits > 0)) {
            idle++;
            continue;
          }
          progress ||= chunk[i].commits === 0 ||
            commits[0].some(({ token }) => token !== state.maskToken);
          state = applyCommits(state, commits[0]);
          nfe++;
          stepInBlock++;
          yield { step: nfe - 1, block, nfe, commits };
          if (finished()) {
            idle = chunk.length - i - 1;
            break;
          }
        }
        idleForwards += idle;
        // Nothing but mask tokens were committed: the same would follow for ever.
        if (!progress) break;
      }
    }
  } finally {
    runner.close();
  }
  return { sequences: [state], nfe, readbacks, idleForwards };
}

/** @throws {RangeError} for a rule or combination that makes no sense */
function checkRule({ rule, suffixWindow, cfgScale = 0, ...rest }: BlockOptions) {
  if (suffixWindow !== undefined && !(Number.isInteger(suffixWindow) && suffixWindow >= 0)) {
    throw new RangeError(`suffixWindow is ${suffixWindow}: expected a whole number of positions`);
  }
  if (suffixWindow !== undefined && cfgScale > 0) {
    throw new RangeError("suffixes are pruned without guidance only: leave suffixWindow out");
  }
  if (rule.kind === "threshold" && !(rule.threshold > 0 && rule.threshold <= 1)) {
    throw new RangeError(`threshold is ${rule.threshold}: expected a number above 0, at most 1`);
  }
  if (rule.kind === "factor" && !(rule.factor > 0 && Number.isFinite(rule.factor))) {
    throw new RangeError(`factor is ${rule.factor}: expected a number above 0`);
  }
  if (rule.kind !== "count" && rest.remasking === "random") {
    throw new RangeError(
      `rule ${rule.kind} goes by confidence, remasking random by noise: choose one of the two`,
    );
  }
}
