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
import type { Results } from "./results.ts";

/** A token among the likeliest at a position. */
export interface RankedToken {
  /** Token id. */
  readonly token: number;
  /** Its logit, noise-free. */
  readonly logit: number;
}

/**
 * Rows whose logits are in memory together: 32 MiB of a vocabulary of 126,464 tokens. A binding of
 * their indices may begin at 256 bytes on any device.
 */
export const LOGIT_ROWS = 64;

/** Words of 4 bytes from a piece's rows to the next one's: a binding may begin at 256 bytes. */
export const PIECE = 64;

/** Rows whose logits are in memory together: half as many, again and again, until a binding holds them. */
export function logitRows({ gpu, weights }: PredictionContext): number {
  const fits = (rows: number) =>
    4 * rows * weights.head.columns <= gpu.limits.maxStorageBufferBindingSize;
  let rows = LOGIT_ROWS;
  while (rows > 1 && !fits(rows)) rows /= 2;
  return rows;
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
 * Records the logits of some rows of hidden states, piece by piece. Its data is uploaded at once: what
 * was recorded with other data must be submitted before.
 * @param results where they are found, `[rows, embeddingSize]`
 * @returns the word at which they begin there
 */
export async function addLogits(
  context: PredictionContext,
  hidden: Tensor,
  rows: readonly number[],
  results: Results,
): Promise<number> {
  const { config: { embeddingSize } } = context;
  const most = logitRows(context);
  const index = uploadScratch(context, "ranked rows", spread(rows, most));
  let firstWord: number | undefined;
  for (let first = 0; first < rows.length; first += most) {
    const count = Math.min(most, rows.length - first);
    const normed = normAsked(context, hidden, index.window(PIECE * first / most, PIECE), count);
    const logits = recordLogits(context, normed, count);
    const at = await results.add(logits, count * embeddingSize);
    firstWord ??= at;
  }
  return firstWord ?? 0;
}

/** Words of rows, those of each piece where a binding may begin. */
export function spread(words: ArrayLike<number>, rows: number): Uint32Array<ArrayBuffer> {
  const spread = new Uint32Array(PIECE * Math.ceil(words.length / rows));
  for (let i = 0; i < words.length; i++) {
    spread[PIECE * Math.floor(i / rows) + i % rows] = words[i];
  }
  return spread;
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
  const most = logitRows(context);
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
 * Positions whose k largest logits are found together, with `rowsEach` rows for each: their logits are in
 * memory together, and what is found takes no more than the logits of two rows.
 */
export function topRows(context: PredictionContext, rowsEach: number, k: number): number {
  const fitting = Math.floor(context.config.embeddingSize / k);
  return Math.max(1, Math.min(Math.floor(logitRows(context) / rowsEach), fitting));
}

/**
 * Finds the k largest logits of some rows of hidden states; only these are read back.
 * @param rows of at most {@linkcode topRows} positions; with guidance in pairs (conditional,
 * unconditional)
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
