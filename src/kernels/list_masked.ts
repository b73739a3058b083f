/** Lists on the GPU the rows that a denoising step may commit. */

import source from "../../shaders/list_masked.wgsl" with { type: "text" };
import place from "../../shaders/lib/place.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

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

/** The places of a call, and what is the same for all of them. */
export interface PlacesOfCall {
  /** Number of places. */
  readonly count: number;
  /** The first of them. */
  readonly placeOffset: number;
  /** The first of their plans. */
  readonly planOffset: number;
  readonly maskToken: number;
  /** Whether their sequences have unconditional twins. */
  readonly guided: boolean;
}

/** Parameters and constants of a call. */
export function paramsOf({ placeOffset, planOffset, maskToken, guided }: PlacesOfCall) {
  return {
    params: { place_offset: placeOffset, plan_offset: planOffset, mask_token: maskToken },
    constants: { GUIDED: guided ? 1 : 0 },
  };
}

/**
 * Records the listing; see the shader for the tensors' layouts.
 * @param tensors.places as `writePlace` writes them
 * @param tensors.asked_rows one row, or two when guided, for each entry of `asked`
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
  call: PlacesOfCall,
): void {
  recorder.dispatch(listMaskedKernel, {
    bindings: tensors,
    ...paramsOf(call),
    workgroups: [call.count],
  });
}
