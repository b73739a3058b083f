/** Logits in scratch memory, for what the head does not reduce: reading them, ranking them, sampling. */

import type { Readback } from "../gpu/readback.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { unsplit } from "../kernels/head.ts";
import { matmul } from "../kernels/matmul.ts";
import { stripMatmul } from "../kernels/strip_matmul.ts";
import { runsInStrips } from "../kernels/strips.ts";
import { topK } from "../kernels/top_k.ts";
import { paddedInner } from "../quant/scheme.ts";
import { rowsFor } from "./linear.ts";
import { normAsked, type PredictionContext, uploadScratch } from "./prediction_pass.ts";

/** A token among the likeliest at a position. */
export interface RankedToken {
  /** Token id. */
  readonly token: number;
  /** Its logit, noise-free. */
  readonly logit: number;
}

/** Positions whose logits fit one binding, with `rowsEach` rows for each. */
export function logitRows({ gpu, config }: PredictionContext, rowsEach: number): number {
  const bytes = 4 * config.embeddingSize * rowsEach;
  const fitting = Math.floor(gpu.limits.maxStorageBufferBindingSize / bytes);
  return Math.max(64, fitting - fitting % 64);
}

/**
 * Records the logits of normed rows, at most {@linkcode logitRows}.
 * @param normed `[rows, paddedInner(hiddenSize)]`
 * @returns `[rows, embeddingSize]`, valid until the next call
 */
export function recordLogits(context: PredictionContext, normed: Tensor, rows: number): Tensor {
  const { recorder, scratch, config, weights } = context;
  const columns = config.embeddingSize;
  const logits = scratch.get("logits", rows * columns);
  const options = { rows, yStride: columns };
  if (runsInStrips(recorder.gpu, unsplit(weights.head), columns)) {
    stripMatmul(recorder, normed, weights.head, logits, options);
  } else {
    const x = rowsFor(weights.head, normed, rows, context);
    matmul(recorder, x, unsplit(weights.head), logits, options);
  }
  return logits;
}

/**
 * Records the logits of some rows of hidden states, and reads them back.
 * @returns `[rows, embeddingSize]`
 */
export function logitsOf(
  context: PredictionContext,
  readback: Readback,
  hidden: Tensor,
  rows: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const index = uploadScratch(context, "asked_rows", Uint32Array.from(rows));
  const normed = normAsked(context, hidden, index, rows.length);
  return readLogits(context, readback, normed, rows.length);
}

/**
 * Records logits of any number of normed rows, in pieces that fit a binding, and reads them back.
 * @returns `[rows, embeddingSize]`
 */
export async function readLogits(
  context: PredictionContext,
  readback: Readback,
  normed: Tensor,
  rows: number,
): Promise<Float32Array<ArrayBuffer>> {
  const { recorder, config } = context;
  const columns = config.embeddingSize;
  const width = paddedInner(config.hiddenSize);
  const most = logitRows(context, 1);
  const logits = new Float32Array(rows * columns);
  for (let first = 0; first < rows; first += most) {
    const count = Math.min(most, rows - first);
    const piece = recordLogits(context, normed.part(first * width, count * width), count);
    const bytes = await readback.read(recorder, piece, 4 * count * columns);
    logits.set(new Float32Array(bytes), first * columns);
  }
  return logits;
}

/**
 * Finds the k largest logits of some rows of hidden states; only these are read back.
 * @param rows at most {@linkcode logitRows}; with guidance in pairs (conditional, unconditional)
 * @param guidance `cfg_scale + 1`, or undefined without guidance
 */
export async function topLogits(
  context: PredictionContext,
  readback: Readback,
  hidden: Tensor,
  rows: readonly number[],
  k: number,
  guidance: number | undefined,
): Promise<RankedToken[][]> {
  const { recorder, scratch, config } = context;
  const count = guidance === undefined ? rows.length : rows.length / 2;
  const rowIndex = uploadScratch(context, "asked_rows", Uint32Array.from(rows));
  const normed = normAsked(context, hidden, rowIndex, rows.length);
  const logits = recordLogits(context, normed, rows.length);
  const found = scratch.get("top", 2 * count * k);
  topK(recorder, logits, found, { rows: count, columns: config.embeddingSize, k, guidance });
  const bytes = await readback.read(recorder, found, 8 * count * k);
  const tokens = new Uint32Array(bytes);
  const values = new Float32Array(bytes);
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: k }, (_, j) => ({
      token: tokens[2 * (i * k + j)],
      logit: values[2 * (i * k + j) + 1],
    })));
}
