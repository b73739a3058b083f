/** Queries, keys and values on matrix units: projects, splits into heads and rotates. */

import source from "../../shaders/matrix_qkv.wgsl" with { type: "text" };
import storePair from "../../shaders/lib/store_pair.wgsl" with { type: "text" };
import tile from "../../shaders/lib/matrix_tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { HeadShape } from "./attention.ts";
import { MATRIX_CONSTANTS, matrixTile } from "./matrix_tile.ts";
import { qkvCost, qkvKernel, qkvParams, type QkvRows, type QkvTensors } from "./qkv.ts";
import type { WeightMatrix } from "./weight_matrix.ts";

/** shaders/matrix_qkv.wgsl */
export const matrixQkvKernel = defineKernel({
  name: "matrix_qkv",
  source,
  snippets: [tile, storePair],
  bindings: qkvKernel.bindings,
  params: qkvKernel.params,
  constants: { ...MATRIX_CONSTANTS, LISTED: 0 },
  readsWeights: true,
  usesMatrixUnits: true,
  usesElement: true,
});

/**
 * Records the projection of some rows, over all parts of the matrix, like `qkv` of qkv.ts.
 * @param tensors with x as `matrixRows` makes it
 */
export function matrixQkv(
  recorder: Recorder,
  units: MatrixUnits,
  tensors: QkvTensors,
  weights: WeightMatrix,
  shape: HeadShape,
  options: QkvRows,
): void {
  const { x, rowPosition, rotation, q, k, v, element = "f32" } = tensors;
  const { constants, workgroups } = matrixTile(units, weights, options.rows, true);
  const listed = options.keyRows === undefined ? 0 : 1;
  for (const part of weights.parts) {
    recorder.dispatch(matrixQkvKernel, {
      bindings: { x, row_position: rowPosition, rotation, q, k, v },
      params: qkvParams(weights, part, shape, options),
      constants: { ...constants, LISTED: listed },
      weights: part.binding,
      element,
      cost: qkvCost(weights, part, shape, options.rows, element),
      workgroups: workgroups(part.columns),
    });
  }
}
