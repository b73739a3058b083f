/** The last step of attention whose keys several workgroups share. */

import source from "../../shaders/merge_attention.wgsl" with { type: "text" };
import chunkLength from "../../shaders/lib/chunks.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/merge_attention.wgsl */
export const mergeAttentionKernel = defineKernel({
  name: "merge_attention",
  source,
  snippets: [chunkLength],
  bindings: { parts: "read", sequences: "read", y: "write" },
  params: {
    heads: "u32",
    head_dim: "u32",
    head_stride: "u32",
    y_stride: "u32",
    row_tiles: "u32",
    chunks: "u32",
  },
});

/** Rows and units of a workgroup, as in the shader. */
const [LANES, UNITS] = [32, 4];

/** How attention was shared out. */
export interface AttentionParts {
  readonly sequences: number;
  /** Tiles of 32 queries of the sequence that has most. */
  readonly rowTiles: number;
  /** Chunks of the sequence that has most keys. */
  readonly chunks: number;
}

/** Words of 4 bytes in {@linkcode AttentionParts}: per row a unit more than a head has. */
export function partWords(
  { sequences, rowTiles, chunks }: AttentionParts,
  { heads, headStride }: { readonly heads: number; readonly headStride: number },
): number {
  return sequences * rowTiles * heads * chunks * (headStride + 4) * LANES;
}

/**
 * Records the merge of every row's chunks.
 * @param parts as shaders/attention.wgsl leaves them
 * @param sequences `[sequences]` of (first query, queries, first key, keys)
 * @param y `[queries, yStride]`
 */
export function mergeAttention(
  recorder: Recorder,
  { parts, sequences, y }: {
    readonly parts: Tensor;
    readonly sequences: Tensor;
    readonly y: Tensor;
  },
  shared: AttentionParts,
  { heads, headDim, headStride, yStride }: {
    readonly heads: number;
    readonly headDim: number;
    readonly headStride: number;
    readonly yStride: number;
  },
): void {
  const { rowTiles, chunks } = shared;
  const words = shared.sequences * rowTiles * LANES * heads * headDim;
  recorder.dispatch(mergeAttentionKernel, {
    bindings: { parts, sequences, y },
    params: {
      heads,
      head_dim: headDim,
      head_stride: headStride,
      y_stride: yStride,
      row_tiles: rowTiles,
      chunks,
    },
    cost: { operations: 3 * words * chunks, bytes: 4 * words * (chunks + 1) },
    workgroups: [rowTiles, heads * Math.ceil(headStride / 4 / UNITS), shared.sequences],
  });
}
