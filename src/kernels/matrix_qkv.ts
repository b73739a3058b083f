/** Queries, keys and values on matrix units, split into heads and rotated on the way. */

import source from "../../shaders/matrix_qkv.wgsl" with { type: "text" };
import storePair from "../../shaders/lib/store_pair.wgsl" with { type: "text" };
import tile from "../../shaders/lib/matrix_tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { HeadShape } from "./attention.ts";
import { MATRIX_CONSTANTS, matrixTile } from "./matrix_tile.ts";
import { qkvKernel, qkvParams, type QkvRows, type QkvTensors } from "./qkv.ts";
import { productCost, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/matrix_qkv.wgsl */
export const matrixQkvKernel = defineKernel({
  name: "matrix_qkv",
  source,
  snippets: [tile, storePair],
  bindings: qkvKernel.bindings,
  params: qkvKernel.params,
  constants: { ...MATRIX_CONSTANTS },
  readsWeights: true,
  usesMatrixUnits: true,
});

/** Records the projection of some rows, over all parts of the matrix; as `qkv` of qkv.ts. */
export function matrixQkv(
  recorder: Recorder,
  units: MatrixUnits,
  tensors: QkvTensors,
  weights: WeightMatrix,
  shape: HeadShape,
  options: QkvRows,
): void {
  const { x, rowPosition, rotation, q, k, v } = tensors;
  const { constants, workgroups } = matrixTile(units, weights, options.rows, true);
  for (const part of weights.parts) {
    recorder.dispatch(matrixQkvKernel, {
      bindings: { x, row_position: rowPosition, rotation, q, k, v },
      params: qkvParams(weights, part, shape, options),
      constants,
      weights: part.binding,
      cost: productCost(
        part,
        weights,
        options.rows,
        2 * part.columns,
        2 * options.rows * part.columns,
      ),
      workgroups: workgroups(part.columns),
    });
  }
}
