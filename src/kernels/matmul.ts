/** Linear layers: `y = x W^T`, or added to `y`. */

import source from "../../shaders/matmul.wgsl" with { type: "text" };
import storeTile from "../../shaders/lib/store_tile.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import {
  DEFAULT_TILES,
  PRODUCT_PARAMS,
  productCost,
  productParams,
  TILE_CONSTANTS,
  tiled,
  type WeightMatrix,
} from "./weight_matrix.ts";

/** shaders/matmul.wgsl */
export const matmulKernel = defineKernel({
  name: "matmul",
  source,
  snippets: [tile, storeTile],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: { ...TILE_CONSTANTS, ADD: 0 },
  readsWeights: true,
  multipliesRows: true,
});

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
  for (const part of weights.parts) {
    const { constants, workgroups } = tiled(
      weights.tiles ?? DEFAULT_TILES,
      options.rows,
      part.columns,
    );
    recorder.dispatch(matmulKernel, {
      bindings: { x, y },
      params: productParams(weights, part, options),
      constants: { ...constants, ADD: options.add ? 1 : 0 },
      weights: part.binding,
      cost: productCost(
        part,
        weights,
        options.rows,
        part.columns,
        (options.add ? 2 : 1) * options.rows * part.columns,
      ),
      workgroups,
    });
  }
}
