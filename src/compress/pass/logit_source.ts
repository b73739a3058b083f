/** Logits at the asked rows of a batch, chunk by chunk, and what is reduced from them. */

import type { Tensor } from "../../gpu/tensor.ts";
import { topTokens } from "../../kernels/top_tokens.ts";
import type { ModelConfig } from "../../model/model_config.ts";
import type { TrainingBatch } from "../training_batch.ts";
import {
  type AskedChunk,
  askedSlots,
  checkBatch,
  chunkSlots,
  outOfSlots,
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
export interface LogitSource {
  readonly config: ModelConfig;
  /** Numbers of a row of logits. */
  readonly logitsStride: number;
  /** Most bytes of logits in memory together. */
  readonly logitsBytes: number;
  /** Records a forward pass; `each` is called with every chunk of asked rows, in order. */
  recordLogits(batch: PreparedBatch, each: (chunk: LogitsChunk) => void): void;
}

/** The likeliest tokens at the asked rows of a batch, on the GPU. */
export interface TopTokens {
  /** Tokens of each row. */
  readonly count: number;
  /** `[slots, count]` token ids, likeliest first */
  readonly ids: Tensor;
  /** `[slots, count]` their logits */
  readonly values: Tensor;
  /** `[slots, 4]` of (largest logit, log-sum-exp, its token, unused) */
  readonly facts: Tensor;
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
  const { slots } = batch.asked;
  const found: TopTokens = {
    count,
    ids: scratch.get(`${name} ids`, count * slots),
    values: scratch.get(`${name} values`, count * slots),
    facts: scratch.get(`${name} facts`, FACT_WORDS * slots),
  };
  source.recordLogits(batch, ({ chunk, logits, stride, columns }) => {
    const part = (tensor: Tensor, words: number) => chunkSlots(batch.asked, chunk, tensor, words);
    topTokens(recorder, {
      logits,
      ids: part(found.ids, count),
      values: part(found.values, count),
      facts: part(found.facts, FACT_WORDS),
    }, { rows: chunk.rows, columns, stride, count });
  });
  return found;
}

function prepared(space: TrainingSpace, source: LogitSource, batch: TrainingBatch): PreparedBatch {
  checkBatch(batch, source.config);
  const asked = askedSlots(batch.rows.length, source.logitsStride, source.logitsBytes);
  return prepareBatch(space, batch, asked);
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
  const ready = prepared(space, source, batch);
  const { facts } = recordTopTokens(space, source, ready, { count: 1, name: "predicted" });
  const { readback, recorder } = space;
  const bytes = await readback.read(recorder, facts, 4 * FACT_WORDS * ready.asked.slots);
  const words = outOfSlots(ready.asked, new Uint32Array(bytes), FACT_WORDS);
  const numbers = new Float32Array(words.buffer);
  const tokens = new Uint32Array(batch.rows.length);
  const confidences = new Float32Array(batch.rows.length);
  for (let i = 0; i < tokens.length; i++) {
    const at = FACT_WORDS * i;
    tokens[i] = words[at + 2];
    confidences[i] = Math.exp(numbers[at] - numbers[at + 1]);
  }
  return { tokens, confidences };
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
  const ready = prepared(space, source, batch);
  const { chunks } = ready.asked;
  const stride = source.logitsStride;
  const all = scratch.get("all logits", Math.max(1, batch.rows.length) * stride);
  const { embeddingSize } = source.config;
  source.recordLogits(ready, ({ chunk: { first, rows }, logits }) => {
    const to = all.part(first * stride, rows * stride);
    recorder.copy(logits, to, 4 * rows * stride);
  });
  const result = new Float32Array(batch.rows.length * embeddingSize);
  if (chunks.length === 0) return result;
  const values = new Float32Array(await readback.read(recorder, all, 4 * batch.rows.length * stride));
  for (let row = 0; row < batch.rows.length; row++) {
    result.set(values.subarray(row * stride, row * stride + embeddingSize), row * embeddingSize);
  }
  return result;
}
