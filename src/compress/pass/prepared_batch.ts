/** A micro-batch on the GPU, and the pieces in which its asked rows meet the head. */

import { type Tensor, upload } from "../../gpu/tensor.ts";
import { type AttentionWork, attentionWork } from "../../kernels/attention.ts";
import type { TrainingBatch } from "../training_batch.ts";
import type { TrainingSpace } from "./training_space.ts";

/**
 * Rows whose logits are in memory together. What belongs to asked rows lies in slots: those of a chunk
 * start at a multiple of 64, so that any number of words a slot can be bound alone.
 */
export interface AskedChunk {
  /** First asked row, and their number. */
  readonly first: number;
  readonly rows: number;
  /** Slot of the first asked row. */
  readonly slot: number;
}

/** How asked rows are divided. */
export interface AskedSlots {
  readonly chunks: readonly AskedChunk[];
  /** Slots of each chunk, the last included. */
  readonly each: number;
  /** Slots of all chunks. */
  readonly slots: number;
}

/** A micro-batch on the GPU. It is valid until the next one is prepared in the same space. */
export interface PreparedBatch {
  readonly batch: TrainingBatch;
  readonly rows: number;
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly ranges: Tensor;
  readonly work: AttentionWork;
  readonly asked: AskedSlots;
  /** `[slots]` */
  readonly askedRows: Tensor;
  /** `[slots]` */
  readonly targets: Tensor;
  /** `[slots]` */
  readonly weights: Tensor;
}

/** Slots of a chunk start at a multiple of this: 256 bytes of 4-byte words, as bindings must. */
const ALIGNED = 64;

/**
 * Divides asked rows into chunks.
 * @param stride numbers of a row of logits
 * @param bytes what the logits of a chunk may take; a single row always may
 */
export function askedSlots(asked: number, stride: number, bytes: number): AskedSlots {
  const most = Math.max(1, Math.floor(bytes / (4 * stride)));
  const rows = most < ALIGNED ? most : most - most % ALIGNED;
  const each = Math.ceil(rows / ALIGNED) * ALIGNED;
  const chunks = Array.from({ length: Math.ceil(asked / rows) }, (_, i) => ({
    first: i * rows,
    rows: Math.min(rows, asked - i * rows),
    slot: i * each,
  }));
  return { chunks, each, slots: Math.max(1, chunks.length) * each };
}

/** Puts the numbers of asked rows into their slots; others are 0. */
export function inSlots<T extends Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  { chunks, slots }: AskedSlots,
  values: T,
): T {
  const made = new (values.constructor as new (length: number) => T)(slots);
  for (const { first, rows, slot } of chunks) made.set(values.subarray(first, first + rows), slot);
  return made;
}

/** Takes the numbers of asked rows out of their slots, `words` of each. */
export function outOfSlots<T extends Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>>(
  { chunks }: AskedSlots,
  values: T,
  words: number,
): T {
  const asked = chunks.reduce((sum, { rows }) => sum + rows, 0);
  const taken = new (values.constructor as new (length: number) => T)(words * asked);
  for (const { first, rows, slot } of chunks) {
    taken.set(values.subarray(words * slot, words * (slot + rows)), words * first);
  }
  return taken;
}

/** The part of a tensor that holds a chunk's slots, `words` of each. */
export function chunkSlots(
  { each }: AskedSlots,
  { slot }: AskedChunk,
  tensor: Tensor,
  words: number,
): Tensor {
  return tensor.part(words * slot, words * each);
}

/**
 * Checks a batch against what a model and its device can take.
 * @throws {RangeError} naming what is wrong
 */
export function checkBatch(
  batch: TrainingBatch,
  limits: { readonly embeddingSize: number; readonly maxSequenceLength: number },
): void {
  const { ids, positions, ranges, rows, targets, weights } = batch;
  const { embeddingSize, maxSequenceLength } = limits;
  const check = (name: string, list: Uint32Array, end: number, what: string) => {
    const wrong = list.findIndex((value) => value >= end);
    if (wrong < 0) return;
    throw new RangeError(`batch.${name}[${wrong}] is ${list[wrong]}, ${what} ${end}`);
  };
  check("ids", ids, embeddingSize, "the model has ids below");
  check("targets", targets, embeddingSize, "the model has ids below");
  check("positions", positions, maxSequenceLength, "the model has positions below");
  check("rows", rows, ids.length, "the batch has rows below");
  const lengths = { positions: [positions, ids], targets: [targets, rows], weights: [weights, rows] };
  for (const [name, [list, of]] of Object.entries(lengths)) {
    if (list.length === of.length) continue;
    throw new RangeError(`batch.${name} has ${list.length} entries, expected ${of.length}`);
  }
  const unordered = rows.findIndex((row, i) => i > 0 && row <= rows[i - 1]);
  if (unordered > 0) {
    throw new RangeError(`batch.rows[${unordered}] is ${rows[unordered]}, expected ascending rows`);
  }
  let next = 0;
  for (let at = 0; at < ranges.length; at += 4) {
    const [first, count, firstKey, keys] = ranges.subarray(at, at + 4);
    if (first !== next || count === 0 || firstKey !== first || keys !== count) {
      throw new RangeError(
        `batch.ranges: sequence ${at / 4} is (${first}, ${count}, ${firstKey}, ${keys}), expected ` +
          `rows from ${next} on that attend to each other`,
      );
    }
    next += count;
  }
  if (next !== ids.length) {
    throw new RangeError(`batch.ranges cover ${next} rows, the batch has ${ids.length}`);
  }
}

/** Uploads a batch. What is recorded must have been submitted, since it replaces the last one. */
export function prepareBatch(
  { gpu, scratch }: TrainingSpace,
  batch: TrainingBatch,
  asked: AskedSlots,
): PreparedBatch {
  const put = (name: string, data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => {
    const tensor = scratch.get(name, data.length);
    upload(gpu, tensor, data);
    return tensor;
  };
  return {
    batch,
    rows: batch.ids.length,
    ids: put("ids", batch.ids),
    positions: put("positions", batch.positions),
    ranges: put("ranges", batch.ranges),
    work: attentionWork(batch.ranges),
    asked,
    askedRows: put("asked rows", inSlots(asked, batch.rows)),
    targets: put("targets", inSlots(asked, batch.targets)),
    weights: put("weights", inSlots(asked, batch.weights)),
  };
}
