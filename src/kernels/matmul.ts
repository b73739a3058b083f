/** Linear layers: `y = x W^T`, plain or added to what `y` holds. */

import source from "../../shaders/matmul.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { rowGroups, TILE_CONSTANTS, tileConstants, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/matmul.wgsl */
export const matmulKernel = defineKernel({
  name: "matmul",
  source,
  snippets: [tile],
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", columns: "u32", blocks: "u32", y_stride: "u32", y_column: "u32" },
  constants: { ...TILE_CONSTANTS, ADD: 0 },
  readsWeights: true,
  multipliesRows: true,
});

/** Columns that one workgroup makes. */
const TILE_COLUMNS = 128;

/**
 * Records `y = x W^T` (or `y += x W^T`), over all parts of the matrix.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, yStride]`
 */
export function matmul(
  recorder: Recorder,
  x: Tensor,
  weights: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number; readonly add?: boolean },
): void {
  const groups = rowGroups(options.rows);
  for (const part of weights.parts) {
    recorder.dispatch(matmulKernel, {
      bindings: { x, y },
      params: {
        rows: options.rows,
        columns: part.columns,
        blocks: weights.blocks,
        y_stride: options.yStride,
        y_column: part.firstColumn,
      },
      constants: { ...tileConstants(groups, weights.splits), ADD: options.add ? 1 : 0 },
      weights: part.binding,
      // Row tiles of one column tile follow each other: its weights stay in the cache.
      workgroups: [Math.ceil(options.rows / (8 * groups)), Math.ceil(part.columns / TILE_COLUMNS)],
    });
  }
}
