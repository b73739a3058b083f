/** Chunks of keys become one softmax. */

import { attentionWork, type HeadShape } from "../../src/kernels/attention.ts";
import { mergeAttention, partWords } from "../../src/kernels/merge_attention.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";

/** Rows of a tile. */
const LANES = 32;

interface Size {
  readonly name: string;
  readonly heads: number;
  readonly headDim: number;
  /** Queries and keys of the sequences. */
  readonly sequences: readonly (readonly [queries: number, keys: number])[];
}

interface Inputs {
  readonly shape: HeadShape;
  readonly yStride: number;
  /** (first query, queries, first key, keys) of each sequence. */
  readonly ranges: Uint32Array<ArrayBuffer>;
  readonly rowTiles: number;
  readonly chunks: number;
  readonly parts: Float32Array<ArrayBuffer>;
}

/** `sum of exp(m - M) s / sum of exp(m - M) t` over the chunks' maxima m, totals t and sums s. */
export function reference({ shape, yStride, ranges, rowTiles, chunks, parts }: Inputs) {
  const { heads, headDim, headStride } = shape;
  const { queries, count } = attentionWork(ranges);
  const y = untouchedReference((queries + GUARD_ROWS) * yStride);
  for (let sequence = 0; sequence < count; sequence++) {
    const [first, own, , keys] = ranges.subarray(4 * sequence, 4 * sequence + 4);
    for (let row = 0; row < own; row++) {
      for (let head = 0; head < heads; head++) {
        const tile = (sequence * rowTiles + Math.floor(row / LANES)) * heads + head;
        const at = (chunk: number, unit: number) =>
          4 * (((tile * chunks + chunk) * (headStride / 4 + 1) + unit) * LANES + row % LANES);
        const made = Array.from({ length: Math.ceil(keys / 64) }, (_, chunk) => chunk);
        const maximum = (chunk: number) => parts[at(chunk, headStride / 4)];
        const largest = Math.max(...made.map(maximum));
        const sumOf = (value: (chunk: number) => number) =>
          made.reduce((sum, chunk) => sum + Math.exp(maximum(chunk) - largest) * value(chunk), 0);
        const total = sumOf((chunk) => parts[at(chunk, headStride / 4) + 1]);
        for (let i = 0; i < headDim; i++) {
          y[(first + row) * yStride + head * headDim + i] = sumOf((chunk) =>
            parts[at(chunk, i >> 2) + i % 4]
          ) / total;
        }
      }
    }
  }
  return { y };
}

/** Heads around the four units of a workgroup; sequences with fewer chunks or rows than others. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "merge_attention",
  tolerance: 1e-5,
  sizes: [
    { name: "one chunk of one row", heads: 1, headDim: 16, sequences: [[1, 1]] },
    { name: "heads of 18", heads: 3, headDim: 18, sequences: [[33, 65], [2, 200], [1, 64]] },
    { name: "heads of 128", heads: 2, headDim: 128, sequences: [[9, 130]] },
  ],
  modelSizes: [{
    name: "32 rows, 512 keys, 16 heads of 64",
    heads: 16,
    headDim: 64,
    sequences: [[32, 512]],
  }],
  inputs({ heads, headDim, sequences }, random) {
    const shape = { heads, kvHeads: heads, headDim, headStride: paddedInner(headDim) };
    let first = 0;
    const ranges = Uint32Array.from(sequences.flatMap(([queries, keys]) => {
      const range = [first, queries, 0, keys];
      first += queries;
      return range;
    }));
    const { longest, mostKeys, count } = attentionWork(ranges);
    const shared = {
      sequences: count,
      rowTiles: Math.ceil(longest / LANES),
      chunks: Math.ceil(mostKeys / 64),
    };
    const parts = random.floats(partWords(shared, shape));
    // Totals are positive.
    const stride = 4 * (shape.headStride / 4 + 1) * LANES;
    parts.forEach((value, i) => {
      const behind = i % stride - LANES * shape.headStride;
      if (behind >= 0 && behind % 4 === 1) parts[i] = 1 + Math.abs(value);
    });
    return { ...shared, shape, yStride: paddedInner(heads * headDim), ranges, parts };
  },
  upload(tensors, { shape, yStride, ranges, rowTiles, chunks, parts }) {
    const { queries, count } = attentionWork(ranges);
    const y = tensors.untouched("y", (queries + GUARD_ROWS) * yStride);
    const bound = {
      parts: tensors.of("parts", parts),
      sequences: tensors.of("sequences", ranges),
      y: y.tensor,
    };
    const shared = { sequences: count, rowTiles, chunks };
    return {
      record: (recorder) => mergeAttention(recorder, bound, shared, { ...shape, yStride }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ heads, headDim, sequences }) => ({
    multiplyAdds: 0,
    bytes: sequences.reduce(
      (sum, [queries, keys]) => sum + 4 * queries * heads * headDim * (Math.ceil(keys / 64) + 1),
      0,
    ),
  }),
});
