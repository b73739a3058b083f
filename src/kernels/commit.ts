/** Ranks candidates and commits the best on the GPU, with the same result as `selectCommits`. */

import source from "../../shaders/commit.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import place from "../../shaders/lib/place.wgsl" with { type: "text" };
import prediction from "../../shaders/lib/prediction.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { type PlacedCall, placedParams } from "./place.ts";

/** shaders/commit.wgsl */
export const commitKernel = defineKernel({
  name: "commit",
  source,
  snippets: [noise, place, prediction, stepPlan],
  bindings: {
    asked: "read",
    counts: "read",
    predictions: "read",
    plans: "read",
    places: "read",
    ids: "write",
    finished: "write",
    commit_log: "write",
  },
  params: { place_offset: "u32", plan_offset: "u32", mask_token: "u32" },
  constants: { GUIDED: 0 },
});

/** Words of 4 bytes in an entry of the log: header (committed, candidates, finished), then commits. */
export const LOG_ENTRY_WORDS = 4;

/** Records one step's commits; see the shader for the tensors' layouts. */
export function commit(
  recorder: Recorder,
  tensors: {
    readonly asked: Tensor;
    readonly counts: Tensor;
    readonly predictions: Tensor;
    readonly plans: Tensor;
    readonly places: Tensor;
    readonly ids: Tensor;
    readonly finished: Tensor;
    readonly commit_log: Tensor;
  },
  call: PlacedCall,
): void {
  recorder.dispatch(commitKernel, {
    bindings: tensors,
    params: placedParams(call),
    constants: { GUIDED: call.guided ? 1 : 0 },
    workgroups: [call.count],
  });
}
