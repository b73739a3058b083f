/** The head's candidates to one prediction per row. */

import source from "../../shaders/predict.wgsl" with { type: "text" };
import candidate from "../../shaders/lib/candidate.wgsl" with { type: "text" };
import prediction from "../../shaders/lib/prediction.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/predict.wgsl */
export const predictKernel = defineKernel({
  name: "predict",
  source,
  snippets: [candidate, prediction, stepPlan],
  bindings: { candidates: "read", predictions: "write" },
  params: { tiles: "u32" },
});

/** Words of 4 bytes in a `Prediction` of shaders/lib/prediction.wgsl. */
export const PREDICTION_WORDS = 5;

/**
 * Records the merge of each row's candidates.
 * @param candidates `[entries, tiles]`
 * @param predictions `[entries]`
 */
export function predict(
  recorder: Recorder,
  candidates: Tensor,
  predictions: Tensor,
  options: { readonly entries: number; readonly tiles: number },
): void {
  recorder.dispatch(predictKernel, {
    bindings: { candidates, predictions },
    params: { tiles: options.tiles },
    workgroups: [options.entries],
  });
}
