/** The gated half of LLaDA's feed-forward layer: `silu(x G^T) * (x U^T)`. */

import source from "../../shaders/swiglu.wgsl" with { type: "text" };
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
  splitsBy,
  TILE_CONSTANTS,
  tiled,
  type WeightMatrix,
} from "./weight_matrix.ts";

/** shaders/swiglu.wgsl */
export const swigluKernel = defineKernel({
  name: "swiglu",
  source,
  snippets: [tile, storeTile],
  bindings: { x: "read", y: "write" },
  params: PRODUCT_PARAMS,
  constants: { ...TILE_CONSTANTS },
  readsWeights: true,
  multipliesRows: "tiles",
});

/**
 * Records `y = silu(x G^T) * (x U^T)` over all parts of a gate/up pair.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, yStride]`
 */
export function swiglu(
  recorder: Recorder,
  x: Tensor,
  gateUp: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number },
): void {
  const { rowForm: form } = recorder.gpu;
  const by = { form, splitsBy: splitsBy("swiglu", form) };
  for (const part of gateUp.parts) {
    const { constants, workgroups } = tiled(
      gateUp.tiles ?? DEFAULT_TILES,
      options.rows,
      2 * part.columns,
      by,
    );
    recorder.dispatch(swigluKernel, {
      bindings: { x, y },
      params: productParams(gateUp, part, options),
      constants,
      weights: part.binding,
      cost: productCost(part, gateUp, options.rows, 2 * part.columns, options.rows * part.columns),
      workgroups,
    });
  }
}
