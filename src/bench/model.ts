/** Times whole models for `unmask bench`. */

import { denoise } from "../denoise/denoise.ts";
import { BY_CONFIDENCE } from "../denoise/selection.ts";
import { type CanvasStep, GREEDY } from "../denoise/predictor.ts";
import { newSequence } from "../denoise/sequence.ts";
import type { ModelConfig } from "../model/loading/config.ts";
import type { Model } from "../model/model.ts";

/** Timing of a forward pass of one size. */
export interface ForwardTiming {
  readonly rows: number;
  readonly milliseconds: number;
  readonly gflopPerSecond: number;
}

/** Timing of denoising one answer with the plain schedule. */
export interface DenoiseTiming {
  readonly promptTokens: number;
  readonly genLength: number;
  readonly steps: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  readonly millisecondsPerStep: number;
  readonly dispatchesPerStep: number;
  readonly submitsPerStep: number;
  readonly readbacksPerStep: number;
  /** Share of a step in which this process does not wait for the GPU. */
  readonly hostShare: number;
}

/** Number of positions to predict at: one block. */
export const ASKED = 32;
/** Number of answers or passes to measure; the median is reported. */
const RUNS = 5;

/** The size of a pass. */
export interface PassSize {
  /** Rows that are run. */
  readonly rows: number;
  /** Keys that each of them attends to. */
  readonly keys: number;
  /** Predictions that are made. */
  readonly asked: number;
}

/** Floating-point operations of a pass. */
export function passOperations(config: ModelConfig, { rows, keys, asked }: PassSize): number {
  const { hiddenSize, layers, heads, kvHeads, headDim, ffnSize, embeddingSize } = config;
  const projections = hiddenSize * (heads + 2 * kvHeads) * headDim + hiddenSize * hiddenSize;
  const layer = 2 * rows * (projections + 3 * hiddenSize * ffnSize) +
    4 * rows * keys * heads * headDim;
  return layers * layer + 2 * asked * hiddenSize * embeddingSize;
}

/** Floating-point operations of a forward pass over `rows` rows with `asked` predictions. */
export function forwardOperations(model: Model, rows: number, asked: number): number {
  return passOperations(model.config, { rows, keys: rows, asked });
}

/** A median time. */
export interface MedianTime {
  readonly milliseconds: number;
  /** Number of runs that it is the median of. */
  readonly runs: number;
}

/** Something that is timed again and again. */
export type TimedRun = () => Promise<unknown>;

/**
 * Measures the median times of some runs, in turn, after one of each that warms up: what disturbs the
 * machine for a while disturbs all of them.
 * @param options.until time by `performance.now()` from which no round is begun, once there are `least`
 */
export async function medianTimes(
  runs: readonly TimedRun[],
  { until = Infinity, least = 1 }: { readonly until?: number; readonly least?: number } = {},
): Promise<MedianTime[]> {
  for (const run of runs) await run();
  const rounds: number[][] = [];
  while (rounds.length < RUNS && (rounds.length < least || performance.now() < until)) {
    const round: number[] = [];
    for (const run of runs) {
      const start = performance.now();
      await run();
      round.push(performance.now() - start);
    }
    rounds.push(round);
  }
  return runs.map((_, i) => ({
    milliseconds: median(rounds.map((round) => round[i])),
    runs: rounds.length,
  }));
}

/** A forward pass with the readback of one block of predictions. */
export function forwardRun(model: Model, rows: number): TimedRun {
  const { maskTokenId, embeddingSize } = model.config;
  const asked = Math.min(ASKED, rows);
  const ids = Uint32Array.from(
    { length: rows },
    (_, i) => i < rows - asked ? i % (embeddingSize - 1) : maskTokenId,
  );
  const positions = Uint32Array.from({ length: asked }, (_, i) => rows - asked + i);
  return () => model.predict([{ ids, positions, choice: GREEDY }]);
}

/** Measures the median time of {@linkcode forwardRun}. */
export async function timeForward(model: Model, rows: number): Promise<ForwardTiming> {
  const [{ milliseconds }] = await medianTimes([forwardRun(model, rows)]);
  const operations = forwardOperations(model, rows, Math.min(ASKED, rows));
  return { rows, milliseconds, gflopPerSecond: operations / (milliseconds * 1e6) };
}

/** Times denoising of random prompts by the plain schedule, one token per step. */
export async function timeDenoise(
  model: Model,
  shape: { readonly promptTokens: number; readonly genLength: number; readonly steps: number },
): Promise<DenoiseTiming> {
  const { maskTokenId, eosTokenId, embeddingSize } = model.config;
  const prompt = Uint32Array.from(
    { length: shape.promptTokens },
    (_, i) => (i * 31) % (embeddingSize - 16),
  );
  const run = async () => {
    const before = counts(model);
    const start = performance.now();
    const steps = denoise([newSequence(prompt, shape.genLength, maskTokenId)], model, {
      blockLength: Math.min(ASKED, shape.genLength),
      steps: shape.steps,
      seeds: [0],
      eosToken: eosTokenId,
      endTokens: [eosTokenId],
      stopAtEnd: false,
    });
    let next = await steps.next();
    while (!next.done) next = await steps.next();
    const milliseconds = performance.now() - start;
    const after = counts(model);
    return {
      milliseconds,
      dispatches: after.dispatches - before.dispatches,
      submits: after.submits - before.submits,
      readbacks: after.readbacks - before.readbacks,
      waited: after.waited - before.waited,
    };
  };
  await warmUp(model, shape.promptTokens);
  const runs = [];
  for (let i = 0; i < RUNS; i++) runs.push(await run());
  const typical = runs.sort((a, b) => a.milliseconds - b.milliseconds)[Math.floor(RUNS / 2)];
  const { steps } = shape;
  return {
    ...shape,
    seconds: typical.milliseconds / 1000,
    tokensPerSecond: shape.genLength * 1000 / typical.milliseconds,
    millisecondsPerStep: typical.milliseconds / steps,
    dispatchesPerStep: typical.dispatches / steps,
    submitsPerStep: typical.submits / steps,
    readbacksPerStep: typical.readbacks / steps,
    hostShare: 1 - typical.waited / typical.milliseconds,
  };
}

/** Compiles the kernels that a canvas needs. */
async function warmUp(model: Model, promptTokens: number): Promise<void> {
  const { maskTokenId } = model.config;
  const ids = new Uint32Array(promptTokens + ASKED).fill(maskTokenId);
  const canvas = await model.openCanvas([
    { ids, promptLength: promptTokens, endTokens: [], maskToken: maskTokenId },
  ]);
  const step: CanvasStep = {
    blockEnd: ids.length,
    commits: 1,
    remasking: BY_CONFIDENCE,
    choices: [GREEDY],
    stopAtEnd: false,
  };
  await canvas.run([step]);
  canvas.destroy();
}

function counts(model: Model) {
  return {
    dispatches: model.recorder.counts.dispatches,
    submits: model.recorder.counts.submits,
    readbacks: model.readback.count,
    waited: model.readback.waitedMilliseconds,
  };
}

/** The median; of an even number of values, the upper middle one. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
