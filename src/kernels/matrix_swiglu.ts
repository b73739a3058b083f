/** The gated half of LLaDA's feed-forward layer on matrix units: `silu(x G^T) * (x U^T)`. */

import source from "../../shaders/matrix_swiglu.wgsl" with { type: "text" };
import tile from "../../shaders/lib/matrix_tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { MATRIX_CONSTANTS, matrixTile } from "./matrix_tile.ts";
import { PRODUCT_PARAMS, productCost, productParams, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/matrix_swiglu.wgsl */
export const matrixSwigluKernel = defineKernel({
  name: "matrix_swiglu",
  source,
  snippets: [tile],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: { ...MATRIX_CONSTANTS },
  readsWeights: true,
  usesMatrixUnits: true,
});

/**
 * Records `y = silu(x G^T) * (x U^T)` over all parts of a gate/up pair.
 * @param x the rows as `matrixRows` makes them, in the parts of {@linkcode partsOf}
 * @param y `[rows, yStride]`
 */
export function matrixSwiglu(
  recorder: Recorder,
  units: MatrixUnits,
  x: Tensor,
  gateUp: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number },
): void {
  const { constants, workgroups } = matrixTile(units, gateUp, options.rows, true);
  for (const part of gateUp.parts) {
    recorder.dispatch(matrixSwigluKernel, {
      bindings: { x, y },
      params: productParams(gateUp, part, options),
      constants,
      weights: part.binding,
      cost: productCost(part, gateUp, options.rows, 2 * part.columns, options.rows * part.columns),
      workgroups: workgroups(part.columns),
    });
  }
}
