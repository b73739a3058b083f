/**
 * Denoises block by block until no mask is left, with parallel decoding and cached keys and values.
 */

import { blockStep, givesUp, masksLeft, type PassOptions } from "./block_steps.ts";
import { checkCache, checkRanking, checkRule, checkSuffixWindow } from "../check_options.ts";
import { checkBatch } from "../denoise.ts";
import type { DenoiseResult, DenoiseStep } from "../denoise_step.ts";
import type { CanvasStep, Predictor } from "../predictor.ts";
import { planSteps } from "../schedule.ts";
import { comparesConfidence, type SelectionRule } from "../selection.ts";
import { applyCommits, decidedUpToEnd, generationLength, type Sequence } from "../sequence.ts";
import { openRunner } from "../step_runner.ts";

/** Options of denoising block by block. */
export interface BlockOptions extends PassOptions {
  /** `count` commits by the schedule of `steps`; the other rules do not use `steps`. */
  readonly rule: SelectionRule;
  /** Returns a block's own `rule` and `cache`; called when the block begins. */
  readonly ofBlock?: (block: number) => Pick<BlockOptions, "rule" | "cache">;
}

/**
 * Fast-dLLM's sampler (Wu et al. 2025, arXiv 2505.22618): a block is repeated until it holds no mask.
 * Candidates are the block's masked positions; the rule says which of them are committed.
 *
 * On a canvas steps run in chunks. Their number is estimated from the commits per step so far. A
 * step after the one that completed the block finds no candidate and does nothing; it is not
 * yielded, and counts in `idleForwards` instead of `nfe`.
 * @throws as {@linkcode denoise}, and {@linkcode RangeError} for a rule out of range
 */
export async function* denoiseBlocks(
  sequence: Sequence,
  predictor: Predictor,
  options: BlockOptions,
): AsyncGenerator<DenoiseStep, DenoiseResult, void> {
  const { signal, blockLength } = options;
  checkBatch([sequence], options);
  checkBlocks(options);
  const genLength = generationLength(sequence);
  const steps = comparesConfidence(options.rule) ? genLength : options.steps;
  const plan = planSteps({ genLength, blockLength, steps });
  signal?.throwIfAborted();
  const runner = await openRunner([sequence], predictor, options);
  let state = sequence;
  let nfe = 0;
  let idleForwards = 0;
  let readbacks = 0;
  // Commits per step of the last block that ran; not known for the first.
  let pace = Infinity;
  const finished = () =>
    options.finished?.() || (options.stopAtEnd && decidedUpToEnd(state, options.endTokens));
  try {
    for (let block = 0; block < genLength / blockLength && !finished(); block++) {
      const passes = { ...options, ...options.ofBlock?.(block) };
      const { rule } = passes;
      const compares = comparesConfidence(rule);
      checkBlocks(passes);
      const schedule = plan.filter((planned) => planned.block === block);
      const masked = () => masksLeft(state, block, blockLength);
      const all = masked();
      let stepInBlock = 0;
      let given = false;
      for (let left = all; left > 0 && !given && !finished(); left = masked()) {
        signal?.throwIfAborted();
        if (stepInBlock > 0) pace = (all - left) / stepInBlock;
        const paced = compares ? Math.max(1, Math.ceil(left / pace)) : left;
        // After the schedule, every step decides whether another one follows.
        const scheduled = Math.max(1, schedule.length - stepInBlock);
        const length = Math.min(runner.chunkLength, left, paced, scheduled);
        const chunk = Array.from({ length }, (_, i): CanvasStep => {
          const at = { step: nfe + i, stepInBlock: stepInBlock + i };
          const step = blockStep(state, schedule, at, passes);
          return { ...step, commits: compares ? blockLength : step.commits, rule };
        });
        const commitsByStep = await runner.run(chunk, [state]);
        readbacks++;
        let idle = 0;
        for (const [i, commits] of commitsByStep.entries()) {
          signal?.throwIfAborted();
          if (idle > 0 || (commits[0].length === 0 && chunk[i].commits > 0)) {
            idle++;
            continue;
          }
          given = givesUp(schedule, stepInBlock, commits[0], state.maskToken);
          state = applyCommits(state, commits[0]);
          nfe++;
          stepInBlock++;
          yield { step: nfe - 1, block, nfe, commits };
          if (finished()) {
            idle = commitsByStep.length - i - 1;
            break;
          }
        }
        idleForwards += idle;
      }
    }
  } finally {
    runner.close();
  }
  return { sequences: [state], nfe, readbacks, idleForwards };
}

function checkBlocks(options: BlockOptions): void {
  const { rule } = options;
  checkCache(options);
  checkSuffixWindow(options);
  checkRule(rule);
  if (comparesConfidence(rule)) checkRanking(options, `rule ${rule.kind}`);
}
