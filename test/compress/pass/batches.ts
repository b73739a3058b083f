/** Training batches for tests, and their loss in plain loops over 64-bit floats. */

import { assertEquals } from "@std/assert";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { Random } from "../../kernels/random.ts";
import type { ReferenceLlada } from "../../reference/llada.ts";

/** Sequences end to end, of which every row is asked with weight 1. */
export function batchOf(sequences: readonly (readonly number[])[]): TrainingBatch {
  const ids = Uint32Array.from(sequences.flat());
  let first = 0;
  const ranges = sequences.flatMap(({ length }) => {
    first += length;
    return [first - length, length, first - length, length];
  });
  return {
    ids,
    positions: Uint32Array.from(sequences.flatMap((sequence) => [...sequence.keys()])),
    ranges: Uint32Array.from(ranges),
    rows: Uint32Array.from(ids.keys()),
    targets: ids,
    weights: new Float32Array(ids.length).fill(1),
  };
}

/** Random sequences, some tokens more than once, of which about half of the rows are asked. */
export function randomBatch(
  lengths: readonly number[],
  vocabSize: number,
  seed: string,
): TrainingBatch {
  const random = new Random(seed);
  const token = () => random.integer(vocabSize);
  const batch = batchOf(lengths.map((length) => Array.from({ length }, token)));
  const rows = batch.rows.filter((row) => row === 0 || random.next() < 0.5);
  return {
    ...batch,
    rows,
    targets: Uint32Array.from(rows, token),
    weights: Float32Array.from(rows, () => 0.1 + random.next()),
  };
}

/** Sum over asked rows of weight times cross-entropy. */
export function referenceLoss(reference: ReferenceLlada, batch: TrainingBatch): number {
  const columns = reference.config.embedding_size;
  let loss = 0;
  for (let at = 0; at < batch.ranges.length; at += 4) {
    const [first, count] = batch.ranges.subarray(at, at + 2);
    const { logits } = reference.forward(batch.ids.subarray(first, first + count));
    for (const [i, row] of batch.rows.entries()) {
      if (row < first || row >= first + count) continue;
      const own = logits.subarray((row - first) * columns, (row - first + 1) * columns);
      const most = own.reduce((largest, value) => Math.max(largest, value), -Infinity);
      const sum = own.reduce((total, value) => total + Math.exp(value - most), 0);
      loss += batch.weights[i] * (most + Math.log(sum) - own[batch.targets[i]]);
    }
  }
  return loss;
}

/** The largest distance of two lists; NaN counts as infinite. */
export function farthest(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  assertEquals(found.length, expected.length);
  let most = 0;
  for (let i = 0; i < found.length; i++) {
    const distance = Math.abs(found[i] - expected[i]);
    if (Number.isNaN(distance)) return Infinity;
    most = Math.max(most, distance);
  }
  return most;
}
