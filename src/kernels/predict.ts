/** Merges the head's candidates into one prediction per row. */

import source from "../../shaders/predict.wgsl" with { type: "text" };
import candidate from "../../shaders/lib/candidate.wgsl" with { type: "text" };
import prediction from "../../shaders/lib/prediction.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { CANDIDATE_WORDS } from "./head.ts";

/** shaders/predict.wgsl */
export const predictKernel = defineKernel({
  name: "predict",
  source,
  snippets: [candidate, prediction, stepPlan],
  bindings: { candidates: "read", asked: "read", plans: "read", predictions: "write" },
  params: { tiles: "u32", plan_offset: "u32" },
  constants: { MEASURED: 0 },
});

/** Words of 4 bytes in a `Prediction` of shaders/lib/prediction.wgsl. */
export const PREDICTION_WORDS = 6;

/**
 * Records the merge of each row's candidates.
 * @param tensors.candidates `[entries, tiles]`
 * @param tensors.asked `[entries]`, see shaders/lib/step_plan.wgsl
 * @param tensors.plans one plan per sequence, from `planOffset` on
 * @param tensors.predictions `[entries]`
 */
export function predict(
  recorder: Recorder,
  tensors: {
    readonly candidates: Tensor;
    readonly asked: Tensor;
    readonly plans: Tensor;
    readonly predictions: Tensor;
  },
  options: {
    readonly entries: number;
    readonly tiles: number;
    readonly planOffset: number;
    /** As in `head`. */
    readonly measured: boolean;
  },
): void {
  recorder.dispatch(predictKernel, {
    bindings: tensors,
    params: { tiles: options.tiles, plan_offset: options.planOffset },
    constants: { MEASURED: options.measured ? 1 : 0 },
    // Operations per candidate: two comparisons, and its sum times an exponential.
    cost: {
      operations: 5 * options.entries * options.tiles,
      bytes: 4 * options.entries * (CANDIDATE_WORDS * options.tiles + PREDICTION_WORDS),
    },
    workgroups: [options.entries],
  });
}
