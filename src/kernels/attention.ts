/** Bidirectional attention, fused: scores and weights never leave the workgroup. */

import source from "../../shaders/attention.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/attention.wgsl */
export const attentionKernel = defineKernel({
  name: "attention",
  source,
  bindings: { q: "read", k: "read", v: "read", sequences: "read", shadows: "read", y: "write" },
  params: {
    heads: "u32",
    kv_heads: "u32",
    head_dim: "u32",
    head_stride: "u32",
    y_stride: "u32",
    scale: "f32",
    fresh_first: "u32",
    fresh_keys: "u32",
    fresh_row: "u32",
  },
  constants: { UNITS: 32, SHADOWS: 0 },
  gathersRows: true,
});

/** How a row of queries, keys or values is divided. */
export interface HeadShape {
  readonly heads: number;
  /** Query head h reads key/value head `floor(h / (heads / kvHeads))`. */
  readonly kvHeads: number;
  /** Channels of a head, at most 128. */
  readonly headDim: number;
  /** Floats from one head to the next: headDim rounded up to 8. */
  readonly headStride: number;
}

/** Keys of every sequence of a call that lie apart from its others, which sequences then may share. */
export interface FreshKeys {
  /** The first of them, counted from the sequence's first key. */
  readonly first: number;
  /** How many each sequence has. */
  readonly count: number;
  /** Row of the first sequence's first; the others' follow, in the order of the sequences. */
  readonly row: number;
}

/**
 * Records attention over a batch of sequences, each within itself (Vaswani et al. 2017, eq. 1).
 * @param q `[queries, heads, headStride]`
 * @param k `[keys, kvHeads, headStride]`
 * @param v `[keys, kvHeads, headStride]`
 * @param sequences `[count]` of (first query, queries, first key, keys)
 * @param shadows `[queries]` of (key row, key row): every query of the call sees all keys of its sequence
 * but the first of these, and the second besides; absent: all keys and no other
 * @param y `[queries, yStride]`
 */
export function attention(
  recorder: Recorder,
  tensors: {
    readonly q: Tensor;
    readonly k: Tensor;
    readonly v: Tensor;
    readonly sequences: Tensor;
    readonly shadows?: Tensor;
    readonly y: Tensor;
  },
  shape: HeadShape,
  options: {
    readonly count: number;
    readonly longest: number;
    readonly yStride: number;
    readonly fresh?: FreshKeys;
  },
): void {
  const { fresh } = options;
  recorder.dispatch(attentionKernel, {
    bindings: { ...tensors, shadows: tensors.shadows ?? tensors.sequences },
    params: {
      heads: shape.heads,
      kv_heads: shape.kvHeads,
      head_dim: shape.headDim,
      head_stride: shape.headStride,
      y_stride: options.yStride,
      scale: 1 / Math.sqrt(shape.headDim),
      fresh_first: fresh?.first ?? 0,
      fresh_keys: fresh?.count ?? 0,
      fresh_row: fresh?.row ?? 0,
    },
    constants: { UNITS: 8 * Math.ceil(shape.headDim / 32), SHADOWS: tensors.shadows ? 1 : 0 },
    workgroups: [Math.ceil(options.longest / 32), shape.heads, options.count],
  });
}
