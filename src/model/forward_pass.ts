/** Inputs of a forward pass of any family: weights, rows, and keys and values. */

import type { Gpu } from "../gpu/device.ts";
import type { Element } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { AttentionWork, HeadShape } from "../kernels/attention.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { ModelConfig } from "./model_config.ts";

/** One transformer block's weights. */
export interface LayerWeights {
  readonly attentionNorm: Tensor;
  /** Queries, keys and values side by side, channels in pairs that are rotated. */
  readonly qkv: WeightMatrix;
  readonly attentionOut: WeightMatrix;
  readonly ffnNorm: Tensor;
  /** Gate and up projection, paired. */
  readonly gateUp: WeightMatrix;
  readonly down: WeightMatrix;
}

/** All weights, on the GPU. */
export interface ModelWeights {
  readonly embedding: WeightMatrix;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: Tensor;
  /** The embedding itself when tied. */
  readonly head: WeightMatrix;
  /** `[maxSequenceLength, headDim / 2]` of (cos, sin) */
  readonly rotation: Tensor;
}

/** A model, and the recorder of its passes. */
export interface ForwardPass {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly scratch: Scratch;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
}

/** Rows of a pass on the GPU: those of all sequences, one after another. */
export interface RowBatch {
  readonly rows: number;
  /** Token ids. Row i has the i-th of them, or the one that `rowIndex` lists. */
  readonly ids: Tensor;
  /** Entry of `lists` from which on the entry of `ids` of each row is listed. */
  readonly rowIndex?: number;
  /** Positions for the rotation, and other lists of rows. */
  readonly lists: Tensor;
  /** Groups whose rows follow each other; a pass has one or two. */
  readonly groups: readonly RowGroup[];
}

/** Rows of a pass whose keys and values lie together. */
export interface RowGroup {
  /** First row in the pass. */
  readonly first: number;
  readonly rows: number;
  /**
   * Entry of `lists` from which on the position of each row is listed. Without `writeRows` its keys and
   * values are also written from this row on.
   */
  readonly positions: number;
  /** Entry of `lists` from which on the row of the keys and values of each row is listed. */
  readonly writeRows?: number;
  /** `[count]` of (first row, rows, first key, keys) */
  readonly ranges: Tensor;
  /** Work of the attention over `ranges`. */
  readonly work: AttentionWork;
  /** Rows that attend as shadows, outside `ranges`; absent if there are none. */
  readonly shadows?: ShadowBatch;
  /**
   * Where keys and values are kept. The pass writes its own there and reads all of them back, rounded
   * as they are kept. Absent: the pass keeps none, and computes with f32 ones.
   */
  readonly kept?: KvCache;
  /** Lists the rows of the keys that `ranges` name; absent: they name rows themselves. */
  readonly keyRows?: Tensor;
}

/** Shadow rows of all sequences, on the GPU. */
export interface ShadowBatch {
  /** `[count]` of (first shadow row, shadow rows, first key, keys) */
  readonly ranges: Tensor;
  /** Work of the attention over `ranges`. */
  readonly work: AttentionWork;
  /** `[all rows]` of (row whose key is not seen, own row) */
  readonly keys: Tensor;
}

/** Keys and values of every layer. */
export interface KvCache {
  /** Type that they are kept in. */
  readonly element: Element;
  /** Per layer, `[rows, kvHeads, headStride]`. */
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
}

/** Is shown intermediate results, each right after what computes it is recorded. */
export interface PassObserver {
  /**
   * The hidden states `[rows, paddedInner(hiddenSize)]`: `embed` after the embedding,
   * `block.<i>.out` after layer i.
   */
  hidden?(name: string, states: Tensor): void;
  /** What the heads of a layer give to its output projection, `[rows, paddedInner(hiddenSize)]`. */
  attended?(layer: number, outputs: Tensor): void;
  /** Gated activations of a layer, of as many rows as are computed together: `[rows, stride]`. */
  gated?(layer: number, activations: Tensor, rows: number): void;
}

/** How a row of this configuration is divided into heads. */
export function headShape(config: ModelConfig): HeadShape {
  return {
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    headStride: paddedInner(config.headDim),
  };
}

/** Rows that a layer's intermediate of `width` columns may have, in whole groups of 64. */
export function rowsPerChunk(gpu: Gpu, width: number): number {
  const rows = Math.floor(gpu.limits.maxStorageBufferBindingSize / (4 * width));
  return Math.max(64, rows - rows % 64);
}

/**
 * Limit of rows in a forward pass. Their hidden states and heads must each fit one binding, and
 * there may be no more rows than workgroups in a dispatch, since several kernels take one per row;
 * matrix units take rows in whole matrices.
 */
export function mostRows(gpu: Gpu, config: ModelConfig): number {
  const { heads, headStride } = headShape(config);
  const { matrixUnits, limits: { maxComputeWorkgroupsPerDimension: workgroups } } = gpu;
  return Math.min(
    rowsPerChunk(gpu, Math.max(paddedInner(config.hiddenSize), heads * headStride)),
    workgroups - workgroups % (matrixUnits?.rows ?? 1),
  );
}
