/** Lists on the GPU the rows that a denoising step may commit. */

import source from "../../shaders/list_masked.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/list_masked.wgsl */
export const listMaskedKernel = defineKernel({
  name: "list_masked",
  source,
  snippets: [stepPlan],
  bindings: {
    ids: "read",
    sequences: "read",
    row_position: "read",
    plans: "read",
    finished: "read",
    asked: "write",
    asked_rows: "write",
    counts: "write",
  },
  params: {
    capacity: "u32",
    plan_offset: "u32",
    mask_token: "u32",
    twin_rows: "u32",
    first_hidden_row: "u32",
  },
  constants: { GUIDED: 0 },
});

/**
 * Records the listing, with `capacity` places per sequence.
 * @param tensors.sequences `[count]` of (first row, rows, …)
 * @param tensors.asked `[count, capacity]`
 * @param tensors.asked_rows `[count, capacity]`, or twice that when guided
 */
export function listMasked(
  recorder: Recorder,
  tensors: {
    readonly ids: Tensor;
    readonly sequences: Tensor;
    readonly row_position: Tensor;
    readonly plans: Tensor;
    readonly finished: Tensor;
    readonly asked: Tensor;
    readonly asked_rows: Tensor;
    readonly counts: Tensor;
  },
  options: {
    readonly count: number;
    readonly capacity: number;
    readonly planOffset: number;
    readonly maskToken: number;
    /** Number of rows from a row to its unconditional twin, or 0 without guidance. */
    readonly twinRows: number;
    /** The row that the hidden states begin with. */
    readonly firstHiddenRow: number;
  },
): void {
  recorder.dispatch(listMaskedKernel, {
    bindings: tensors,
    params: {
      capacity: options.capacity,
      plan_offset: options.planOffset,
      mask_token: options.maskToken,
      twin_rows: options.twinRows,
      first_hidden_row: options.firstHiddenRow,
    },
    constants: { GUIDED: options.twinRows > 0 ? 1 : 0 },
    workgroups: [options.count],
  });
}
