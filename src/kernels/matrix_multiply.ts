/** Linear layers on matrix units: `y = x W^T`, or added to `y`. */

import source from "../../shaders/matrix_multiply.wgsl" with { type: "text" };
import tile from "../../shaders/lib/matrix_tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { MATRIX_CONSTANTS, matrixTile } from "./matrix_tile.ts";
import { PRODUCT_PARAMS, productCost, productParams, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/matrix_multiply.wgsl */
export const matrixMultiplyKernel = defineKernel({
  name: "matrix_multiply",
  source,
  snippets: [tile],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: { ...MATRIX_CONSTANTS, ADD: 0 },
  readsWeights: true,
  usesMatrixUnits: true,
});

/**
 * Records `y = x W^T` (or `y += x W^T`), over all parts of the matrix.
 * @param x the rows as `matrixRows` makes them, in the parts of {@linkcode partsOf}
 * @param y `[rows, yStride]`
 */
export function matrixMultiply(
  recorder: Recorder,
  units: MatrixUnits,
  x: Tensor,
  weights: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number; readonly add?: boolean },
): void {
  const { rows } = options;
  const { constants, workgroups } = matrixTile(units, weights, rows);
  for (const part of weights.parts) {
    recorder.dispatch(matrixMultiplyKernel, {
      bindings: { x, y },
      params: productParams(weights, part, options),
      constants: { ...constants, ADD: options.add ? 1 : 0 },
      weights: part.binding,
      cost: productCost(
        part,
        weights,
        rows,
        part.columns,
        (options.add ? 2 : 1) * rows * part.columns,
      ),
      workgroups: workgroups(part.columns),
    });
  }
}
