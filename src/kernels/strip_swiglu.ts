/** The gated half of a feed-forward layer in strips, on a software adapter. */

import source from "../../shaders/strip_swiglu.wgsl" with { type: "text" };
import multiplyStrip from "../../shaders/lib/multiply_strip.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { STRIP_CONSTANTS, strips } from "./strips.ts";
import { PRODUCT_PARAMS, productCost, productParams, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/strip_swiglu.wgsl */
export const stripSwigluKernel = defineKernel({
  name: "strip_swiglu",
  source,
  snippets: [multiplyStrip],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: STRIP_CONSTANTS,
  readsWeights: true,
  multipliesRows: "strips",
});

/**
 * Records what `swiglu` does, for a pair that `runsInStrips`, with a stride of whole fours.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, yStride]`
 */
export function stripSwiglu(
  recorder: Recorder,
  x: Tensor,
  gateUp: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number },
): void {
  const { rows } = options;
  for (const part of gateUp.parts) {
    recorder.dispatch(stripSwigluKernel, {
      bindings: { x, y },
      params: productParams(gateUp, part, options),
      weights: part.binding,
      cost: productCost(part, gateUp, rows, 2 * part.columns, rows * part.columns),
      ...strips(rows, 2 * part.columns, 2),
    });
  }
}
