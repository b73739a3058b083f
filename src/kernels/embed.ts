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
  bindings: { ids: "read", x: "write" },
  params: { rows: "u32", blocks: "u32", first_token: "u32", columns: "u32", first_row: "u32" },
  readsWeights: true,
});

/**
 * Records `x[row] = embedding[ids[firstRow + row]]`. Every id must be below the embedding's columns.
 * @param ids `[firstRow + rows]`
 * @param x `[rows, 8 * blocks]`
 */
export function embed(
  recorder: Recorder,
  ids: Tensor,
  embedding: WeightMatrix,
  x: Tensor,
  rows: number,
  firstRow = 0,
): void {
  for (const part of embedding.parts) {
    recorder.dispatch(embedKernel, {
      bindings: { ids, x },
      params: {
        rows,
        blocks: embedding.blocks,
        first_token: part.firstColumn,
        columns: part.columns,
        first_row: firstRow,
      },
      weights: part.binding,
      cost: rowsCost(part, embedding, rows),
      workgroups: [Math.ceil(embedding.blocks / 32), rows],
    });
  }
}
