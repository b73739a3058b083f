/** The denoising loop, which turns sequences, a predictor and options into a stream of steps. */

import { checkCounts, checkRanking } from "./check_options.ts";
import type { DenoiseOptions, DenoiseResult, DenoiseStep } from "./denoise_step.ts";
import { PROBABILITY } from "./confidence.ts";
import type { CanvasStep, Predictor, TokenChoice } from "./predictor.ts";
import { type PlannedStep, planSteps } from "./schedule.ts";
import { BY_CONFIDENCE } from "./selection.ts";
import { applyCommits, decidedUpToEnd, generationLength, type Sequence } from "./sequence.ts";
import { openRunner } from "./step_runner.ts";

/**
 * LLaDA's sampler (Nie et al. 2025, arXiv 2502.09992, `generate.py`). Every step of a block's
 * schedule makes one forward pass over the whole sequence. Each masked position from the sequence's
 * start to the end of the block, including masks in the prompt, gets a token and a confidence. The
 * schedule's number of them is unmasked. Nothing is masked again.
 *
 * A sequence whose answer is decided (`stopAtEnd`) unmasks nothing more. On a canvas steps run in
 * chunks, so a stop is only noticed at the next readback. Steps after the stop count in the
 * result's `nfe` but are not yielded.
 * @param sequences of equal length and equal prompt length (pad prompts on the left)
 * @throws {ScheduleError} before the first step, when length, blocks and steps do not fit together
 * @throws {RangeError} before the first step, when another option is out of range
 * @throws the signal's reason, when it is aborted
 */
export async function* denoise(
  sequences: readonly Sequence[],
  predictor: Predictor,
  options: DenoiseOptions,
): AsyncGenerator<DenoiseStep, DenoiseResult, void> {
  const { signal } = options;
  checkBatch(sequences, options);
  const { blockLength, steps } = options;
  const promptLength = sequences[0].promptLength;
  const plan = planSteps({ genLength: generationLength(sequences[0]), blockLength, steps });
  signal?.throwIfAborted();
  const runner = await openRunner(sequences, predictor, options);
  const finished = (state: readonly Sequence[]) =>
    options.finished?.() ||
    (options.stopAtEnd && state.every((sequence) => decidedUpToEnd(sequence, options.endTokens)));

  let state = sequences;
  const { from = 0, until = plan.length } = options;
  let nfe = 0;
  let readbacks = 0;
  try {
    while (from + nfe < until && !finished(state)) {
      signal?.throwIfAborted();
      const first = from + nfe;
      // A first step that ran alone shortens its chunk: answers often end where a block does.
      const length = runner.chunkLength - nfe % runner.chunkLength;
      const chunk = plan.slice(first, Math.min(until, first + length))
        .map((planned, i) => canvasStep(planned, first + i, promptLength, options));
      const commitsByStep = await runner.run(chunk, state);
      nfe += commitsByStep.length;
      readbacks++;
      for (const [i, commits] of commitsByStep.entries()) {
        signal?.throwIfAborted();
        state = state.map((sequence, row) => applyCommits(sequence, commits[row]));
        const step = first + i;
        yield { step, block: plan[step].block, nfe: step - from + 1, commits };
        if (finished(state)) break;
      }
    }
  } finally {
    runner.close();
  }
  return { sequences: state, nfe, readbacks };
}

/** Turns one step of the schedule into a step for a canvas. */
export function canvasStep(
  planned: PlannedStep,
  step: number,
  promptLength: number,
  options: DenoiseOptions,
): CanvasStep {
  const { eosToken, eotToken } = options;
  const ends = eotToken === undefined ? [eosToken] : [eosToken, eotToken];
  const banned = new Set([
    ...options.logitsEosInf ? [eosToken] : [],
    ...options.bannedTokens ?? [],
  ]);
  const blockStart = promptLength + planned.blockEnd - options.blockLength;
  const noEnds = options.banEnds || blockStart < (options.endsFrom ?? 0);
  return {
    blockEnd: promptLength + planned.blockEnd,
    commits: planned.commits,
    remasking: options.remasking ?? BY_CONFIDENCE,
    choices: options.seeds.map((seed): TokenChoice => ({
      temperature: options.temperature ?? 0,
      seed,
      step,
      bannedTokens: noEnds ? options.endTokens : [...banned],
      unconfidentTokens: options.confidenceEosEotInf ? ends : [],
      measure: options.confidence ?? PROBABILITY,
    })),
    stopAtEnd: options.stopAtEnd,
  };
}

/** @throws {RangeError} naming the option or the sequence that does not fit */
export function checkBatch(sequences: readonly Sequence[], options: DenoiseOptions): void {
  const { seeds, temperature = 0, cfgScale = 0, stepsPerReadback } = options;
  if (sequences.length === 0) throw new RangeError("no sequence to denoise: give at least one");
  const [first] = sequences;
  for (const [row, { ids, promptLength }] of sequences.entries()) {
    if (ids.length === first.ids.length && promptLength === first.promptLength) continue;
    throw new RangeError(
      `sequence ${row} has ${promptLength} prompt tokens of ${ids.length}, sequence 0 has ` +
        `${first.promptLength} of ${first.ids.length}: pad the prompts on the left to one length`,
    );
  }
  if (seeds.length !== sequences.length) {
    throw new RangeError(`seeds has ${seeds.length} entries for ${sequences.length} sequences`);
  }
  for (const seed of seeds) {
    if (Number.isSafeInteger(seed) && seed >= 0) continue;
    throw new RangeError(`seed is ${seed}: expected a whole number from 0 up to 2^53 - 1`);
  }
  checkRanking(options);
  for (const [name, value] of Object.entries({ temperature, cfgScale })) {
    if (Number.isFinite(value) && value >= 0) continue;
    throw new RangeError(`${name} is ${value}: expected a finite number, 0 or above`);
  }
  checkCounts({ stepsPerReadback });
}
