/** Logits at the asked rows of a batch, chunk by chunk, and what is reduced from them. */

import type { Tensor } from "../../gpu/tensor.ts";
import { TOP_WORDS, topTokens } from "../../kernels/top_tokens.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import type { TrainingBatch } from "../training_batch.ts";
import {
  type AskedChunk,
  checkBatch,
  type LogitsRoom,
  prepareBatch,
  type PreparedBatch,
} from "./prepared_batch.ts";
import type { TrainingSpace } from "./training_space.ts";

/** The logits of a chunk, valid until the next chunk's are recorded. */
export interface LogitsChunk {
  readonly chunk: AskedChunk;
  /** `[rows of the chunk, stride]` */
  readonly logits: Tensor;
  readonly stride: number;
  /** Tokens. */
  readonly columns: number;
}

/** A model that gives logits for training batches. */
export interface LogitSource extends LogitsRoom {
  readonly config: ModelConfig;
  /** Records a forward pass; `each` is called with every chunk of asked rows, in order. */
  recordLogits(batch: PreparedBatch, each: (chunk: LogitsChunk) => void): void;
}

/** The likeliest tokens at the asked rows of a batch, on the GPU, as `topTokens` leaves them. */
export interface TopTokens {
  /** `[asked, count, TOP_WORDS]` */
  readonly ranked: Tensor;
  /** `[asked, TOP_WORDS]` */
  readonly sums: Tensor;
}

/** Predictions at the asked rows of a batch. */
export interface RowPredictions {
  /** `[asked]` likeliest tokens */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** `[asked]` their probabilities */
  readonly confidences: Float32Array<ArrayBuffer>;
}

/**
 * Records the likeliest tokens at a batch's asked rows.
 * @returns tensors that are valid until the next call of this space and name
 */
export function recordTopTokens(
  { recorder, scratch }: TrainingSpace,
  source: LogitSource,
  batch: PreparedBatch,
  { count, name }: { readonly count: number; readonly name: string },
): TopTokens {
  const ranked = scratch.get(`${name} ranked`, TOP_WORDS * count * batch.asked);
  const sums = scratch.get(`${name} sums`, TOP_WORDS * batch.asked);
  source.recordLogits(batch, ({ chunk: { first, rows }, logits, stride, columns }) => {
    const shape = { rows, firstRow: first, columns, stride, count };
    topTokens(recorder, { logits, ranked, sums }, shape);
  });
  return { ranked, sums };
}

/**
 * Runs a forward pass and waits for the predictions at its asked rows.
 * @throws {RangeError} naming what is wrong with the batch
 */
export async function predictions(
  space: TrainingSpace,
  source: LogitSource,
  batch: TrainingBatch,
): Promise<RowPredictions> {
  const { readback, recorder, scratch } = space;
  checkBatch(batch, source.config);
  const asked = batch.rows.length;
  if (asked === 0) return { tokens: new Uint32Array(), confidences: new Float32Array() };
  const ready = prepareBatch(space, batch, source);
  const { ranked, sums } = recordTopTokens(space, source, ready, { count: 1, name: "predicted" });
  const bytes = 4 * TOP_WORDS * asked;
  const both = scratch.get("predictions", 2 * TOP_WORDS * asked);
  recorder.copy(ranked, both, bytes);
  recorder.copy(sums, both.part(TOP_WORDS * asked, TOP_WORDS * asked), bytes);
  const words = await readback.read(recorder, both, 2 * bytes);
  const tokens = new Uint32Array(words);
  const others = new Float32Array(words).subarray(TOP_WORDS * asked);
  return {
    tokens: Uint32Array.from({ length: asked }, (_, i) => tokens[TOP_WORDS * i]),
    confidences: Float32Array.from(
      { length: asked },
      (_, i) => 1 / (1 + others[TOP_WORDS * i + 1]),
    ),
  };
}

/**
 * Runs a forward pass and waits for all logits at its asked rows, for inspection.
 * @returns `[asked, embeddingSize]`
 */
export async function allLogits(
  space: TrainingSpace,
  source: LogitSource,
  batch: TrainingBatch,
): Promise<Float32Array<ArrayBuffer>> {
  const { recorder, readback, scratch } = space;
  checkBatch(batch, source.config);
  const { logitsStride: stride, config: { embeddingSize } } = source;
  const ready = prepareBatch(space, batch, source);
  const all = scratch.get("all logits", ready.asked * stride);
  source.recordLogits(ready, ({ chunk: { first, rows }, logits }) => {
    const to = all.part(first * stride, rows * stride);
    recorder.copy(logits, to, 4 * rows * stride);
  });
  const result = new Float32Array(batch.rows.length * embeddingSize);
  if (ready.asked === 0) return result;
  const values = new Float32Array(
    await readback.read(recorder, all, 4 * batch.rows.length * stride),
  );
  for (let row = 0; row < batch.rows.length; row++) {
    result.set(values.subarray(row * stride, row * stride + embeddingSize), row * embeddingSize);
  }
  return result;
}
