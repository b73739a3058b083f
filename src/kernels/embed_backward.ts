/** The gradient of an embedding table. */

import source from "../../shaders/embed_backward.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { EMBED_LANES, type EmbeddingPart } from "./embed_rows.ts";

/** shaders/embed_backward.wgsl */
export const embedBackwardKernel = defineKernel({
  name: "embed_backward",
  source,
  bindings: { lists: "read", rows: "read", d_x: "read", d_table: "write" },
  params: { units: "u32", first_token: "u32", tokens: "u32" },
});

/** The rows of each token of a batch. */
export interface TokenRows {
  /** `[count, 3]` of (token, where its rows begin, how many), tokens ascending and each once. */
  readonly lists: Uint32Array<ArrayBuffer>;
  /** `[rows]`: the first token's rows, ascending, then the next one's. */
  readonly rows: Uint32Array<ArrayBuffer>;
}

/** Sorts a batch's rows by their token. */
export function tokenRows(ids: Uint32Array): TokenRows {
  const rows = Uint32Array.from(ids.keys()).sort((a, b) => ids[a] - ids[b] || a - b);
  const lists: number[] = [];
  rows.forEach((row, i) => {
    if (i === 0 || ids[row] !== ids[rows[i - 1]]) lists.push(ids[row], i, 0);
    lists[lists.length - 1]++;
  });
  return { lists: Uint32Array.from(lists), rows };
}

/**
 * Records `dTable[token] += sum of dX[row]` over each token's rows, in ascending order; tokens outside
 * the part are left out.
 * @param tensors.lists see {@linkcode tokenRows}, as `rows`
 * @param tensors.dX `[rows, stride]`
 * @param tensors.dTable `[tokens, stride]`
 * @param options.rows rows of `dX`
 * @param options.lists number of lists
 */
export function embedBackward(
  recorder: Recorder,
  { lists, rows, dX, dTable }: {
    readonly lists: Tensor;
    readonly rows: Tensor;
    readonly dX: Tensor;
    readonly dTable: Tensor;
  },
  options: EmbeddingPart & { readonly rows: number; readonly lists: number },
): void {
  const { stride, tokens, firstToken = 0 } = options;
  const units = stride / 4;
  recorder.dispatch(embedBackwardKernel, {
    bindings: { lists, rows, d_x: dX, d_table: dTable },
    params: { units, first_token: firstToken, tokens },
    cost: {
      operations: options.rows * stride,
      bytes: 4 * (options.rows * (stride + 1) + options.lists * (2 * stride + 3)),
    },
    workgroups: [Math.ceil(units / EMBED_LANES), options.lists],
  });
}
