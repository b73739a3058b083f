/** Lists on the GPU the rows that a denoising step may commit. */

import source from "../../shaders/list_masked.wgsl" with { type: "text" };
import place from "../../shaders/lib/place.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { type PlacedCall, placedParams } from "./place.ts";

/** shaders/list_masked.wgsl */
export const listMaskedKernel = defineKernel({
  name: "list_masked",
  source,
  snippets: [place, stepPlan],
  bindings: {
    ids: "read",
    places: "read",
    row_position: "read",
    plans: "read",
    finished: "read",
    asked: "write",
    asked_rows: "write",
    counts: "write",
  },
  params: { place_offset: "u32", plan_offset: "u32", mask_token: "u32" },
  constants: { GUIDED: 0 },
});

/**
 * Records the listing.
 * @param tensors.asked each sequence's `capacity` rows, from its `askedFirst` on; their `sequence` is its
 * number in the call, 0 to count - 1
 * @param tensors.asked_rows as many, or twice that when guided
 * @param tensors.counts `[count]`
 */
export function listMasked(
  recorder: Recorder,
  tensors: {
    readonly ids: Tensor;
    readonly places: Tensor;
    readonly row_position: Tensor;
    readonly plans: Tensor;
    readonly finished: Tensor;
    readonly asked: Tensor;
    readonly asked_rows: Tensor;
    readonly counts: Tensor;
  },
  call: PlacedCall,
): void {
  recorder.dispatch(listMaskedKernel, {
    bindings: tensors,
    params: placedParams(call),
    constants: { GUIDED: call.guided ? 1 : 0 },
    workgroups: [call.count],
  });
}
