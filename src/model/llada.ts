/** LLaDA (Nie et al. 2025, arXiv 2502.09992): checkpoint names, and the forward pass in order. */

import type { Gpu } from "../gpu/device.ts";
import type { Element } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import {
  attention,
  type AttentionWork,
  type FreshKeys,
  type HeadShape,
} from "../kernels/attention.ts";
import { embed } from "../kernels/embed.ts";
import { rmsNorm } from "../kernels/rms_norm.ts";
import { rotationTable } from "../kernels/qkv.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { ModelConfig } from "./loading/config.ts";
import { gatedLinear, linear, projectQkv } from "./linear.ts";
import type { WeightPrecision, WeightUpload } from "./loading/upload.ts";

/** One transformer block's weights. */
export interface LladaLayer {
  readonly attentionNorm: Tensor;
  /** Queries, keys and values side by side, channels in pairs that are rotated. */
  readonly qkv: WeightMatrix;
  readonly attentionOut: WeightMatrix;
  readonly ffnNorm: Tensor;
  /** `ff_proj` and `up_proj`, paired. */
  readonly gateUp: WeightMatrix;
  /** `ff_out` of the block. */
  readonly down: WeightMatrix;
}

/** All weights, on the GPU. */
export interface LladaWeights {
  readonly embedding: WeightMatrix;
  readonly layers: readonly LladaLayer[];
  readonly finalNorm: Tensor;
  /** The embedding itself when tied. */
  readonly head: WeightMatrix;
  /** `[maxSequenceLength, headDim / 2]` of (cos, sin) */
  readonly rotation: Tensor;
}

/**
 * Uploads a LLaDA checkpoint.
 * @param precision schemes on the GPU; the embedding stays as it is stored
 * @throws {CheckpointError} when a tensor is not as it must be
 */
export async function uploadLlada(
  upload: WeightUpload,
  config: ModelConfig,
  precision: WeightPrecision = {},
): Promise<LladaWeights> {
  const wanted = precision.layers;
  const { hiddenSize, heads, kvHeads, headDim, ffnSize, embeddingSize } = config;
  const name = (tensor: string) => `model.transformer.${tensor}.weight`;
  upload.checkTable(
    `the rotation of max_sequence_length ${config.maxSequenceLength} positions`,
    config.maxSequenceLength * headDim,
  );
  const embedding = await upload.stacked([name("wte")], [embeddingSize], hiddenSize);
  const layers: LladaLayer[] = [];
  for (let i = 0; i < config.layers; i++) {
    const of = (tensor: string) => name(`blocks.${i}.${tensor}`);
    layers.push({
      attentionNorm: upload.vector(of("attn_norm"), hiddenSize),
      qkv: await upload.heads(
        [of("q_proj"), of("k_proj"), of("v_proj")],
        [heads, kvHeads, kvHeads],
        headDim,
        hiddenSize,
        wanted,
      ),
      attentionOut: await upload.stacked([of("attn_out")], [hiddenSize], hiddenSize, wanted),
      ffnNorm: upload.vector(of("ff_norm"), hiddenSize),
      gateUp: await upload.paired([of("ff_proj"), of("up_proj")], ffnSize, hiddenSize, wanted),
      down: await upload.stacked([of("ff_out")], [hiddenSize], ffnSize, wanted),
    });
  }
  return {
    embedding,
    layers,
    finalNorm: upload.vector(name("ln_f"), hiddenSize),
    head: config.tiedHead
      ? embedding
      : await upload.stacked([name("ff_out")], [embeddingSize], hiddenSize, precision.head),
    rotation: upload.table(
      "rotation",
      rotationTable(config.maxSequenceLength, headDim, config.ropeTheta),
    ),
  };
}

/** Rows of all sequences, one behind another, on the GPU, and which of them a pass runs. */
export interface RowBatch {
  /** Rows that are run: `[firstRow, firstRow + rows)`. */
  readonly rows: number;
  /** 0 unless the keys and values of other rows are kept. */
  readonly firstRow: number;
  /** `[all rows]` token ids */
  readonly ids: Tensor;
  /** `[all rows]` positions for the rotation */
  readonly rowPosition: Tensor;
  /** `[count]` of (first row that is run, counted from firstRow; their number; first key; keys) */
  readonly ranges: Tensor;
  /** Of `ranges`. */
  readonly work: AttentionWork;
  /** Rows that attend as shadows, outside `ranges`; absent: there are none. */
  readonly shadows?: ShadowBatch;
  /** Keys and values that sequences do not share with each other, among those kept; default none. */
  readonly fresh?: FreshKeys;
  /**
   * Where keys and values go and are found, those of this pass too: the pass reads them as they are
   * kept. Absent: they are forgotten after the pass, and are f32.
   */
  readonly kept?: KvCache;
}

/** Shadow rows of all sequences, on the GPU. */
export interface ShadowBatch {
  /** `[count]` of (first shadow row, shadow rows, first key, keys) */
  readonly ranges: Tensor;
  /** Of `ranges`. */
  readonly work: AttentionWork;
  /** `[all rows]` of (row whose key is not seen, own row) */
  readonly keys: Tensor;
}

/** Keys and values of every layer, for all rows of a canvas. */
export interface KvCache {
  /** What they are kept as. */
  readonly element: Element;
  /** Per layer, `[all rows, kvHeads, headStride]`. */
  readonly layers: readonly { readonly k: Tensor; readonly v: Tensor }[];
}

/** Called with the hidden states `[rows, paddedInner(hiddenSize)]` after a named stage. */
export type HiddenObserver = (name: string, hidden: Tensor) => void;

/** How rows of this configuration are divided into heads. */
export function headShape(config: ModelConfig): HeadShape {
  return {
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    headStride: paddedInner(config.headDim),
  };
}

/** Rows that the widest intermediate of a layer may have, in whole groups of 64. */
function rowsPerChunk(gpu: Gpu, width: number): number {
  const rows = Math.floor(gpu.limits.maxStorageBufferBindingSize / (4 * width));
  return Math.max(64, rows - rows % 64);
}

/**
 * Most rows of a forward pass: those whose hidden states and heads fit one binding, and no more than
 * a dispatch has workgroups, of which several kernels take one a row.
 */
export function mostRows(gpu: Gpu, config: ModelConfig): number {
  const { heads, headStride } = headShape(config);
  return Math.min(
    rowsPerChunk(gpu, Math.max(paddedInner(config.hiddenSize), heads * headStride)),
    gpu.limits.maxComputeWorkgroupsPerDimension,
  );
}

/**
 * Records the embedding and all layers.
 * @returns hidden states before the final norm, `[rows, paddedInner(hiddenSize)]`
 */
export function forward(
  gpu: Gpu,
  recorder: Recorder,
  scratch: Scratch,
  config: ModelConfig,
  weights: LladaWeights,
  batch: RowBatch,
  observe?: HiddenObserver,
): Tensor {
  const { rows } = batch;
  const shape = headShape(config);
  const width = paddedInner(config.hiddenSize);
  const ffnWidth = paddedInner(config.ffnSize);
  const chunk = Math.min(rows, rowsPerChunk(gpu, Math.max(ffnWidth, width)));

  const x = scratch.get("hidden", rows * width);
  const normed = scratch.get("normed", chunk * width);
  const q = scratch.get("q", rows * shape.heads * shape.headStride);
  const keyElements = rows * shape.kvHeads * shape.headStride;
  const attended = scratch.get("attended", rows * width);
  const gated = scratch.get("gated", chunk * ffnWidth);

  const chunks: { first: number; rows: number; x: Tensor; attended: Tensor }[] = [];
  for (let first = 0; first < rows; first += chunk) {
    const length = Math.min(chunk, rows - first);
    const part = (tensor: Tensor) => tensor.part(first * width, length * width);
    chunks.push({ first, rows: length, x: part(x), attended: part(attended) });
  }
  const norm = (from: Tensor, weight: Tensor, length: number) =>
    rmsNorm(recorder, from, weight, normed, {
      rows: length,
      xRows: length,
      columns: config.hiddenSize,
      stride: width,
      epsilon: config.normEpsilon,
    });

  const space = { recorder, scratch };
  embed(recorder, batch.ids, weights.embedding, x, rows, batch.firstRow);
  observe?.("embed", x);
  const element = batch.kept?.element;
  for (const [i, layer] of weights.layers.entries()) {
    const { k, v } = batch.kept?.layers[i] ??
      { k: scratch.get("k", keyElements), v: scratch.get("v", keyElements) };
    for (const part of chunks) {
      norm(part.x, layer.attentionNorm, part.rows);
      projectQkv(
        space,
        { x: normed, rowPosition: batch.rowPosition, rotation: weights.rotation, q, k, v, element },
        layer.qkv,
        shape,
        { rows: part.rows, firstQuery: part.first, firstKey: batch.firstRow + part.first },
      );
    }
    attention(
      recorder,
      { q, k, v, element, sequences: batch.ranges, y: attended },
      shape,
      { work: batch.work, yStride: width, fresh: batch.fresh },
    );
    if (batch.shadows) {
      // A call of its own: the other rows keep their pipeline, and with it their bits.
      const { ranges: sequences, keys, work } = batch.shadows;
      const shadowed = { q, k, v, element, sequences, shadows: keys, y: attended };
      attention(recorder, shadowed, shape, { work, yStride: width });
    }
    for (const part of chunks) {
      const add = { rows: part.rows, yStride: width, add: true };
      linear(space, part.attended, layer.attentionOut, part.x, add);
      norm(part.x, layer.ffnNorm, part.rows);
      gatedLinear(space, normed, layer.gateUp, gated, { rows: part.rows, yStride: ffnWidth });
      linear(space, gated, layer.down, part.x, add);
    }
    observe?.(`block.${i}.out`, x);
  }
  return x;
}
