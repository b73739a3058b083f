/** Runs denoising steps on a canvas if it implements their policy, else one by one. */

import type { DenoiseOptions } from "./denoise_step.ts";
import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Predictor,
} from "./predictor.ts";
import { sampledChoice } from "./sampling.ts";
import { selectCommits } from "./selection.ts";
import {
  applyCommits,
  decidedUpToEnd,
  firstVisible,
  maskedPositions,
  type Sequence,
  unconditionalIds,
} from "./sequence.ts";

/** Runs denoising steps in order. */
export interface StepRunner {
  /** Number of steps that should be passed to `run` together. */
  readonly chunkLength: number;
  /** Runs the steps of a chunk, or the first of them. @returns the commits of those that ran */
  run(chunk: readonly CanvasStep[], state: readonly Sequence[]): Promise<Commit[][][]>;
  /** Sets the ids of the next run, if the runner keeps ids. */
  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  close(): void;
}

/**
 * Opens a canvas if the predictor has one. Steps whose ranking and rule are implemented there run
 * together. Any other step is one forward pass, and its commits are selected here.
 */
export async function openRunner(
  sequences: readonly Sequence[],
  predictor: Predictor,
  options: DenoiseOptions,
): Promise<StepRunner> {
  const { stepsPerReadback = 4, cfgScale = 0 } = options;
  const canvas = await predictor.openCanvas?.(canvasSequences(sequences, options));
  const asking: Asking = {
    predict: (inputs) => predictor.predict(inputs),
    predictKept: canvas && ((inputs, cache) => canvas.predict(inputs, cache)),
  };
  // The second sequences of guidance get every commit, whether made here or on the canvas.
  let unconditional = cfgScale === 0
    ? undefined
    : sequences.map((sequence) => ({ ...sequence, ids: unconditionalIds(sequence) }));
  const follow = (commits: readonly Commit[][]) => {
    unconditional = unconditional?.map((twin, row) => applyCommits(twin, commits[row]));
  };
  return {
    chunkLength: canvas ? stepsPerReadback : 1,
    async run(chunk, state) {
      if (canvas && !options.sampling && chunk.every((step) => canvas.hasTwin(step))) {
        const commitsByStep = await canvas.run(chunk, options.signal);
        commitsByStep.forEach(follow);
        return commitsByStep;
      }
      const commits = await runAlone(chunk[0], state, unconditional, asking, options);
      follow(commits);
      commits.forEach((own, row) => {
        if (own.length === 0) return;
        canvas?.setIds(row, applyCommits(state[row], own).ids, unconditional?.[row].ids);
      });
      return [commits];
    },
    setIds(sequence, ids, unconditionalIds) {
      canvas?.setIds(sequence, ids, unconditionalIds);
      if (!unconditionalIds) return;
      unconditional = unconditional?.map((twin, row) =>
        row === sequence ? { ...twin, ids: unconditionalIds } : twin
      );
    },
    close: () => canvas?.destroy(),
  };
}

/** Converts sequences for a canvas. */
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

/** Error message for a cache with a predictor that has no canvas. */
export const KEEPS_NOTHING = "this predictor keeps no keys and values: use cache none";

/** The predictor or canvas that makes a step's predictions. */
interface Asking {
  readonly predict: Predictor["predict"];
  /** Used for steps with a cache; absent if no keys and values can be kept. */
  readonly predictKept?: Canvas["predict"];
}

/** Runs one step as a canvas would: predicts and selects. @returns the commits of each sequence */
async function runAlone(
  step: CanvasStep,
  state: readonly Sequence[],
  unconditional: readonly Sequence[] | undefined,
  { predict, predictKept }: Asking,
  options: DenoiseOptions,
): Promise<Commit[][]> {
  const { endTokens, cfgScale = 0 } = options;
  const { cache, horizon, blockStart = 0, blockEnd } = step;
  if (cache !== undefined && !predictKept) throw new RangeError(KEEPS_NOTHING);
  const active = [...state.keys()].filter((row) =>
    !(step.stopAtEnd && decidedUpToEnd(state[row], endTokens))
  );
  const inputs = active.map((row): ForwardInput => ({
    ids: state[row].ids.subarray(0, horizon),
    attentionMask: state[row].attentionMask?.subarray(0, horizon),
    positions: maskedPositions(state[row], blockEnd).filter((position) => position >= blockStart),
    guidance: unconditional && {
      scale: cfgScale,
      unconditionalIds: unconditional[row].ids.subarray(0, horizon),
    },
    choice: sampledChoice(step.choices[row], state[row], options),
  }));
  const predictions = cache === undefined || active.length === 0
    ? await predict(inputs)
    : await predictKept!(inputs, cache);
  const commits: Commit[][] = state.map(() => []);
  active.forEach((row, i) => {
    const { seed, step: index } = step.choices[row];
    const origin = firstVisible(state[row].attentionMask);
    const ranking = { remasking: step.remasking, seed, step: index, origin };
    commits[row] = selectCommits(predictions[i], step.commits, ranking, step.rule);
  });
  return commits;
}
