/** The gated half of LLaDA's feed-forward layer: `silu(x G^T) * (x U^T)`. */

import source from "../../shaders/swiglu.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { rowGroups, TILE_CONSTANTS, tileConstants, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/swiglu.wgsl */
export const swigluKernel = defineKernel({
  name: "swiglu",
  source,
  snippets: [tile],
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", columns: "u32", blocks: "u32", y_stride: "u32", y_column: "u32" },
  constants: { ...TILE_CONSTANTS },
  readsWeights: true,
  multipliesRows: true,
});

/** Feed-forward columns that one workgroup makes. */
const TILE_COLUMNS = 64;

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
  const groups = rowGroups(options.rows);
  for (const part of gateUp.parts) {
    recorder.dispatch(swigluKernel, {
      bindings: { x, y },
      params: {
        rows: options.rows,
        columns: part.columns,
        blocks: gateUp.blocks,
        y_stride: options.yStride,
        y_column: part.firstColumn,
      },
      constants: { ...tileConstants(groups, gateUp.splits) },
      weights: part.binding,
      // Row tiles of one column tile follow each other: its weights stay in the cache.
      workgroups: [Math.ceil(options.rows / (8 * groups)), Math.ceil(part.columns / TILE_COLUMNS)],
    });
  }
}
