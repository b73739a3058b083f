/** Lays the sequences of a step end to end in micro-batches. */

import type { TrainingBatch } from "../training_batch.ts";
import type { MaskedSample, MaskingOptions } from "./masking.ts";

/** How a step is packed. */
export interface PackingOptions {
  /** Most rows of a micro-batch. */
  readonly rows: number;
  readonly divideBy: MaskingOptions["divideBy"];
  readonly maskTokenId: number;
}

/**
 * Packs sequences into few micro-batches: the longest first, each into the first that has room. No row
 * is padding. Sequences of which nothing is asked are left out; they still count in what the loss is
 * divided by. If nothing is asked in the whole step, the last token of the first sequence is.
 */
export function packBatches(
  sequences: readonly MaskedSample[],
  { rows, divideBy, maskTokenId }: PackingOptions,
): TrainingBatch[] {
  const asking = sequences.some(({ asked }) => asked.length > 0)
    ? sequences
    : [askedOnce(sequences[0]), ...sequences.slice(1)];
  const divisor = divisorOf(asking, divideBy);
  const bins: { readonly members: MaskedSample[]; rows: number }[] = [];
  const longestFirst = asking.filter(({ asked }) => asked.length > 0)
    .toSorted((a, b) => b.sample.ids.length - a.sample.ids.length);
  for (const one of longestFirst) {
    const { length } = one.sample.ids;
    if (length > rows) {
      throw new RangeError(`${one.sample.where}: ${length} tokens, expected at most ${rows} rows`);
    }
    const bin = bins.find((bin) => bin.rows + length <= rows);
    if (bin) {
      bin.members.push(one);
      bin.rows += length;
    } else bins.push({ members: [one], rows: length });
  }
  return bins.map((bin) => batchOf(bin.members, bin.rows, divisor, maskTokenId));
}

function askedOnce(sequence: MaskedSample): MaskedSample {
  const last = sequence.sample.ids.length - 1;
  return { ...sequence, masked: [last], asked: [last], weights: [1] };
}

/**
 * What the weights of a sequence are divided by. The two sequences of a sample with complementary masks
 * estimate the same loss: they count as two samples.
 */
function divisorOf(
  sequences: readonly MaskedSample[],
  divideBy: MaskingOptions["divideBy"],
): (sequence: MaskedSample) => number {
  if (divideBy === "weights") {
    let sum = 0;
    for (const { weights } of sequences) for (const weight of weights) sum += weight;
    return () => sum;
  }
  const texts = sequences.filter(({ sample }) => sample.kind === "text");
  const tokens = texts.reduce((sum, { length }) => sum + length, 0);
  return ({ sample, length }) =>
    sequences.length * (sample.kind === "text" ? tokens / texts.length : length);
}

function batchOf(
  members: readonly MaskedSample[],
  rowCount: number,
  divisor: (sequence: MaskedSample) => number,
  maskTokenId: number,
): TrainingBatch {
  const asked = members.reduce((sum, one) => sum + one.asked.length, 0);
  const batch = {
    ids: new Uint32Array(rowCount),
    positions: new Uint32Array(rowCount),
    ranges: new Uint32Array(4 * members.length),
    rows: new Uint32Array(asked),
    targets: new Uint32Array(asked),
    weights: new Float32Array(asked),
  };
  let start = 0;
  let next = 0;
  for (const [i, one] of members.entries()) {
    const { ids } = one.sample;
    batch.ids.set(ids, start);
    for (const position of one.masked) batch.ids[start + position] = maskTokenId;
    for (let position = 0; position < ids.length; position++) {
      batch.positions[start + position] = position;
    }
    batch.ranges.set([start, ids.length, start, ids.length], 4 * i);
    const divided = divisor(one);
    for (const [j, position] of one.asked.entries()) {
      batch.rows[next] = start + position;
      batch.targets[next] = ids[position];
      batch.weights[next++] = one.weights[j] / divided;
    }
    start += ids.length;
  }
  return batch;
}
