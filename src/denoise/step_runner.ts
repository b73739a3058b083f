/** Runs denoising steps: on a canvas, where that has a twin of their policy, else one by one. */

import type { DenoiseOptions } from "./denoise_step.ts";
import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Predictor,
} from "./predictor.ts";
import { selectCommits } from "./selection.ts";
import {
  applyCommits,
  decidedUpToEnd,
  firstVisible,
  maskedPositions,
  type Sequence,
  unconditionalIds,
} from "./sequence.ts";

/** Runs steps one behind another. */
export interface StepRunner {
  /** Steps that are worth handing over together. */
  readonly chunkLength: number;
  /** @returns what the chunk's steps committed: all of them, or the first alone */
  run(chunk: readonly CanvasStep[], state: readonly Sequence[]): Promise<Commit[][][]>;
  /** Starts the next run from other ids, where the runner keeps them. */
  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  close(): void;
}

/**
 * Opens a canvas where the predictor has one. Steps whose ranking and rule have a twin there are run
 * together; any other is one forward pass, and what it commits is selected here.
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
  // Guidance's second sequences follow the commits, whoever made them.
  let unconditional = cfgScale === 0
    ? undefined
    : sequences.map((sequence) => ({ ...sequence, ids: unconditionalIds(sequence) }));
  const follow = (commits: readonly Commit[][]) => {
    unconditional = unconditional?.map((twin, row) => applyCommits(twin, commits[row]));
  };
  return {
    chunkLength: canvas ? stepsPerReadback : 1,
    async run(chunk, state) {
      if (canvas && chunk.every((step) => canvas.hasTwin(step))) {
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

/** Who answers a step's questions. */
interface Asking {
  readonly predict: Predictor["predict"];
  /** For steps with a cache, where keys and values can be kept. */
  readonly predictKept?: Canvas["predict"];
}

/** One step as a canvas would run it: predict, select, and what was committed, by sequence. */
async function runAlone(
  step: CanvasStep,
  state: readonly Sequence[],
  unconditional: readonly Sequence[] | undefined,
  { predict, predictKept }: Asking,
  { endTokens, cfgScale = 0 }: DenoiseOptions,
): Promise<Commit[][]> {
  const { cache, horizon, blockStart = 0, blockEnd } = step;
  if (cache !== undefined && !predictKept) throw new RangeError(KEEPS_NOTHING);
  if (horizon !== undefined && unconditional) {
    throw new RangeError("suffixes are pruned without guidance only");
  }
  const active = [...state.keys()].filter((row) =>
    !(step.stopAtEnd && decidedUpToEnd(state[row], endTokens))
  );
  const inputs = active.map((row): ForwardInput => ({
    ids: state[row].ids.subarray(0, horizon),
    attentionMask: state[row].attentionMask?.subarray(0, horizon),
    positions: maskedPositions(state[row], blockEnd).filter((position) => position >= blockStart),
    guidance: unconditional && { scale: cfgScale, unconditionalIds: unconditional[row].ids },
    choice: step.choices[row],
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
