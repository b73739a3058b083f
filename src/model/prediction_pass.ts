/** From hidden states to predictions: final norm of the asked rows, head, merge. */

import type { Gpu } from "../gpu/device.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { CANDIDATE_WORDS, head, headTiles } from "../kernels/head.ts";
import { predict, PREDICTION_WORDS } from "../kernels/predict.ts";
import { rmsNorm } from "../kernels/rms_norm.ts";
import { ASKED_WORDS } from "../kernels/step_plan.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { ModelConfig } from "./config.ts";
import { rowsFor } from "./linear.ts";
import type { LladaWeights } from "./llada.ts";

/** What the pass works with. */
export interface PredictionContext {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly scratch: Scratch;
  readonly config: ModelConfig;
  readonly weights: LladaWeights;
  /** Measured by the last canvas run; before it, steps are taken to be slow. */
  readonly pace: { millisecondsPerRow: number };
}

/** The rows that are asked for predictions. */
export interface AskedRows {
  /** `[entries]` */
  readonly asked: Tensor;
  /** `[entries]`, or `[entries, 2]` with guidance */
  readonly rows: Tensor;
  readonly entries: number;
  /** `cfg_scale + 1`, undefined without guidance */
  readonly guidance: number | undefined;
  /** One plan per sequence. */
  readonly plans: Tensor;
  readonly planOffset: number;
}

/** Records the final norm of some rows into scratch. `[count, paddedInner]` */
export function normAsked(
  { recorder, scratch, config, weights }: PredictionContext,
  hidden: Tensor,
  rowIndex: Tensor,
  count: number,
): Tensor {
  const stride = paddedInner(config.hiddenSize);
  const normed = scratch.get("asked_normed", count * stride);
  rmsNorm(recorder, hidden, weights.finalNorm, normed, {
    rows: count,
    xRows: Math.floor(hidden.byteLength / (4 * stride)),
    columns: config.hiddenSize,
    stride,
    epsilon: config.normEpsilon,
    rowIndex,
  });
  return normed;
}

/** Asked rows that one pass of the head can take within the device's binding limit. */
function entriesPerPass({ gpu, weights }: PredictionContext): number {
  const bytes = 4 * CANDIDATE_WORDS * headTiles(weights.head);
  const entries = Math.floor(gpu.limits.maxStorageBufferBindingSize / bytes);
  return Math.max(64, Math.min(1024, entries - entries % 64));
}

/**
 * Records the predictions of the asked rows.
 * @returns `[entries]` predictions, valid until the next pass is recorded
 */
export function recordPredictions(
  context: PredictionContext,
  hidden: Tensor,
  asked: AskedRows,
): Tensor {
  const { recorder, scratch, weights } = context;
  const tiles = headTiles(weights.head);
  const most = entriesPerPass(context);
  const rowsEach = asked.guidance === undefined ? 1 : 2;
  const predictions = scratch.get("predictions", PREDICTION_WORDS * asked.entries);
  for (let first = 0; first < asked.entries; first += most) {
    const entries = Math.min(most, asked.entries - first);
    const candidates = scratch.get("candidates", entries * tiles * CANDIDATE_WORDS);
    const rowIndex = asked.rows.part(first * rowsEach, entries * rowsEach);
    const normed = normAsked(context, hidden, rowIndex, entries * rowsEach);
    const x = rowsFor(weights.head, normed, entries * rowsEach, context);
    head(
      recorder,
      {
        x,
        asked: asked.asked.part(ASKED_WORDS * first, ASKED_WORDS * entries),
        plans: asked.plans,
        candidates,
      },
      weights.head,
      { entries, planOffset: asked.planOffset, guidance: asked.guidance },
    );
    predict(
      recorder,
      candidates,
      predictions.part(PREDICTION_WORDS * first, PREDICTION_WORDS * entries),
      { entries, tiles },
    );
  }
  return predictions;
}
