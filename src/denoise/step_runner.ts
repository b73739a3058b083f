/** Runs denoising steps, on a canvas or one by one. */

import type { DenoiseOptions } from "./denoise_step.ts";
import type { CanvasSequence, CanvasStep, Commit, Predictor } from "./predictor.ts";
import { selectCommits } from "./selection.ts";
import {
  applyCommits,
  decidedUpToEnd,
  firstVisible,
  maskedPositions,
  type Sequence,
  unconditionalIds,
} from "./sequence.ts";

/** Runs a chunk of steps, on a canvas or one by one. */
export interface StepRunner {
  readonly chunkLength: number;
  run(chunk: readonly CanvasStep[], state: readonly Sequence[]): Promise<Commit[][][]>;
  /** Starts the next run from other ids, where the runner keeps them. */
  setIds?(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  close(): void;
}

/** Opens a canvas where the predictor has one, else runs the same policy here, one step a run. */
export async function openRunner(
  sequences: readonly Sequence[],
  predictor: Predictor,
  options: DenoiseOptions,
): Promise<StepRunner> {
  const { stepsPerReadback = 4 } = options;
  if (!predictor.openCanvas) return stepByStep(sequences, predictor, options);
  const canvas = await predictor.openCanvas(canvasSequences(sequences, options));
  return {
    chunkLength: stepsPerReadback,
    run: (chunk) => canvas.run(chunk, options.signal),
    setIds: (sequence, ids, unconditional) => canvas.setIds(sequence, ids, unconditional),
    close: () => canvas.destroy(),
  };
}

/** Sequences as a canvas takes them. */
export function canvasSequences(
  sequences: readonly Sequence[],
  { endTokens, cfgScale = 0 }: DenoiseOptions,
): CanvasSequence[] {
  return sequences.map((sequence) => ({
    ids: sequence.ids,
    attentionMask: sequence.attentionMask,
    promptLength: sequence.promptLength,
    guidance: cfgScale === 0
      ? undefined
      : { scale: cfgScale, unconditionalIds: unconditionalIds(sequence) },
    endTokens,
    maskToken: sequence.maskToken,
  }));
}

/** Said of a predictor without a canvas. */
export const KEEPS_NOTHING = "this predictor keeps no keys and values: use cache none";

/** The policy a canvas is the twin of: predict, select and commit, one step per run. */
function stepByStep(
  sequences: readonly Sequence[],
  predictor: Predictor,
  { endTokens, cfgScale = 0 }: DenoiseOptions,
): StepRunner {
  let unconditional = sequences.map((sequence) => ({
    ...sequence,
    ids: unconditionalIds(sequence),
  }));
  async function run([step]: readonly CanvasStep[], state: readonly Sequence[]) {
    const active = [...state.keys()].filter((row) =>
      !(step.stopAtEnd && decidedUpToEnd(state[row], endTokens))
    );
    if (step.cache !== undefined) {
      throw new RangeError(KEEPS_NOTHING);
    }
    if (step.horizon !== undefined && cfgScale > 0) {
      throw new RangeError("suffixes are pruned without guidance only");
    }
    const predictions = await predictor.predict(active.map((row) => ({
      ids: state[row].ids.subarray(0, step.horizon),
      attentionMask: state[row].attentionMask?.subarray(0, step.horizon),
      positions: maskedPositions(state[row], step.blockEnd)
        .filter((position) => position >= (step.blockStart ?? 0)),
      guidance: cfgScale === 0
        ? undefined
        : { scale: cfgScale, unconditionalIds: unconditional[row].ids },
      choice: step.choices[row],
    })));
    const commits: Commit[][] = state.map(() => []);
    active.forEach((row, i) => {
      const { seed, step: index } = step.choices[row];
      const origin = firstVisible(state[row].attentionMask);
      const ranking = { remasking: step.remasking, seed, step: index, origin };
      commits[row] = selectCommits(predictions[i], step.commits, ranking, step.rule);
    });
    if (cfgScale > 0) {
      unconditional = unconditional.map((sequence, row) => applyCommits(sequence, commits[row]));
    }
    return [commits];
  }
  return {
    chunkLength: 1,
    run,
    setIds(sequence, _ids, unconditionalIds) {
      if (!unconditionalIds) return;
      unconditional = unconditional.with(sequence, {
        ...unconditional[sequence],
        ids: unconditionalIds,
      });
    },
    close: () => {},
  };
}
