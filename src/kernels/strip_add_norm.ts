/** A linear layer that is added to rows, which are then normed, on a software adapter. */

import source from "../../shaders/strip_add_norm.wgsl" with { type: "text" };
import multiplyStrip from "../../shaders/lib/multiply_strip.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { runsInStrips, STRIP_COLUMNS, STRIP_CONSTANTS, strips } from "./strips.ts";
import { productCost, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/strip_add_norm.wgsl */
export const stripAddNormKernel = defineKernel({
  name: "strip_add_norm",
  source,
  snippets: [multiplyStrip],
  bindings: { x: "read", gain: "read", y: "write", normed: "write" },
  params: { rows: "u32", columns: "u32", blocks: "u32", stride: "u32", epsilon: "f32" },
  constants: STRIP_CONSTANTS,
  readsWeights: true,
  multipliesRows: "strips",
});

/** Whether a layer's output is normed by what makes it: its rows fit one strip. */
export function normsInStrips(gpu: Pick<Gpu, "rowForm">, weights: WeightMatrix): boolean {
  return weights.columns <= STRIP_COLUMNS && weights.parts.length === 1 &&
    runsInStrips(gpu, weights);
}

/**
 * Records `y += x W^T`, and `normed` as `rmsNorm` makes it of y, for a matrix that `normsInStrips`.
 * @param tensors.x `[rows, paddedInner]`
 * @param tensors.gain `[columns]`
 * @param tensors.y `[rows, stride]`
 * @param tensors.normed `[rows, stride]`
 */
export function stripAddNorm(
  recorder: Recorder,
  tensors: {
    readonly x: Tensor;
    readonly gain: Tensor;
    readonly y: Tensor;
    readonly normed: Tensor;
  },
  weights: WeightMatrix,
  { rows, stride, epsilon }: {
    readonly rows: number;
    readonly stride: number;
    readonly epsilon: number;
  },
): void {
  const { columns, blocks, parts: [part] } = weights;
  const product = productCost(part, weights, rows, columns, 3 * rows * columns);
  recorder.dispatch(stripAddNormKernel, {
    bindings: tensors,
    params: { rows, columns, blocks, stride, epsilon },
    weights: part.binding,
    // Operations of the norm: squares and their sum, scale and weight.
    cost: { operations: product.operations + 4 * rows * columns, bytes: product.bytes },
    ...strips(rows, columns),
  });
}
