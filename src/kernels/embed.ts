/** Turns token ids into hidden states. */

import source from "../../shaders/embed.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { rowsCost, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/embed.wgsl */
export const embedKernel = defineKernel({
  name: "embed",
  source,
  bindings: { ids: "read", row_index: "read", x: "write" },
  params: { rows: "u32", blocks: "u32", first_token: "u32", columns: "u32", first_row: "u32" },
  constants: { LISTED: 0 },
  readsWeights: true,
});

/**
 * Records `x[row] = embedding[ids[firstRow + row]]`, or `embedding[ids[rowIndex[firstRow + row]]]` with a
 * `rowIndex`. Every id must be below the embedding's columns.
 * @param ids `[firstRow + rows]`; with `rowIndex` as many as that names
 * @param x `[rows, 8 * blocks]`
 * @param options.rowIndex `[firstRow + rows]`
 */
export function embed(
  recorder: Recorder,
  ids: Tensor,
  embedding: WeightMatrix,
  x: Tensor,
  rows: number,
  options: { readonly firstRow?: number; readonly rowIndex?: Tensor } = {},
): void {
  const { firstRow = 0, rowIndex } = options;
  for (const part of embedding.parts) {
    recorder.dispatch(embedKernel, {
      bindings: { ids, row_index: rowIndex ?? ids, x },
      params: {
        rows,
        blocks: embedding.blocks,
        first_token: part.firstColumn,
        columns: part.columns,
        first_row: firstRow,
      },
      constants: { LISTED: rowIndex ? 1 : 0 },
      weights: part.binding,
      cost: rowsCost(part, embedding, rows),
      workgroups: [Math.ceil(embedding.blocks / 32), rows],
    });
  }
}
