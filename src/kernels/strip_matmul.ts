/** Linear layers in strips: `y = x W^T`, or added to `y`, on a software adapter. */

import source from "../../shaders/strip_matmul.wgsl" with { type: "text" };
import multiplyStrip from "../../shaders/lib/multiply_strip.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { STRIP_CONSTANTS, strips } from "./strips.ts";
import { PRODUCT_PARAMS, productCost, productParams, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/strip_matmul.wgsl */
export const stripMatmulKernel = defineKernel({
  name: "strip_matmul",
  source,
  snippets: [multiplyStrip],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: { ...STRIP_CONSTANTS, ADD: 0 },
  readsWeights: true,
  multipliesRows: "strips",
});

/**
 * Records what `matmul` does, for a matrix that `runsInStrips`, with a stride of whole fours.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, yStride]`
 */
export function stripMatmul(
  recorder: Recorder,
  x: Tensor,
  weights: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number; readonly add?: boolean },
): void {
  const { rows, add = false } = options;
  for (const part of weights.parts) {
    const { constants, workgroups } = strips(rows, part.columns);
    recorder.dispatch(stripMatmulKernel, {
      bindings: { x, y },
      params: productParams(weights, part, options),
      constants: { ...constants, ADD: add ? 1 : 0 },
      weights: part.binding,
      cost: productCost(part, weights, rows, part.columns, (add ? 2 : 1) * rows * part.columns),
      workgroups,
    });
  }
}
