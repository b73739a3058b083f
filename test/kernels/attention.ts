/** Bidirectional attention: queries of every sequence, all of them or some, over its keys. */

import { attention, attentionWork, type HeadShape } from "../../src/kernels/attention.ts";
import { type Element, elementBytes, ELEMENTS } from "../../src/gpu/kernel.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { type Size, SIZES } from "./attention_sizes.ts";
import type { Random } from "./random.ts";

export interface Inputs {
  readonly apart?: boolean;
  /** Rows of k and v that ranges and shadows count; absent: these count rows themselves. */
  readonly keyRows?: Uint32Array<ArrayBuffer>;
  readonly shape: HeadShape;
  readonly yStride: number;
  /** (first query, queries, first key, keys) of each sequence, not in order of rows. */
  readonly ranges: readonly (readonly [number, number, number, number])[];
  /** By query: the key row that it does not see, and its own. */
  readonly shadows?: readonly (readonly [number, number])[];
  readonly element?: Element;
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
}

/** `sum over keys of softmax(q k^T / sqrt(headDim)) v`, per head and row. */
export function reference({ shape, yStride, ranges, shadows, keyRows, q, k, v }: Inputs) {
  const { heads, kvHeads, headDim, headStride } = shape;
  const y = untouchedReference((queriesOf(ranges) + GUARD_ROWS) * yStride);
  for (const [firstQuery, queries, first, length] of ranges) {
    for (let row = firstQuery; row < firstQuery + queries; row++) {
      const [unseen, own] = shadows?.[row] ?? [];
      const keys = Array.from({ length }, (_, j) => first + j).filter((key) => key !== unseen);
      if (own !== undefined) keys.push(own);
      if (keyRows) keys.forEach((key, j) => keys[j] = keyRows[key]);
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor(head / (heads / kvHeads));
        const at = (key: number) => (key * kvHeads + kvHead) * headStride;
        const weights = keys.map((key) => {
          let dot = 0;
          for (let i = 0; i < headDim; i++) {
            dot += q[(row * heads + head) * headStride + i] * k[at(key) + i];
          }
          return dot / Math.sqrt(headDim);
        });
        const largest = Math.max(...weights);
        const total = weights.reduce((sum, score) => sum + Math.exp(score - largest), 0);
        for (let i = 0; i < headDim; i++) {
          let sum = 0;
          weights.forEach((score, j) => {
            sum += Math.exp(score - largest) / total * v[at(keys[j]) + i];
          });
          y[row * yStride + head * headDim + i] = sum;
        }
      }
    }
  }
  return { y };
}

function queriesOf(ranges: Inputs["ranges"]): number {
  return ranges.reduce((sum, [, queries]) => sum + queries, 0);
}

function headRows(random: Random, count: number, { headDim, headStride }: HeadShape, scale = 1) {
  const x = new Float32Array(count * headStride);
  for (let i = 0; i < count; i++) x.set(random.floats(headDim, scale), i * headStride);
  return x;
}

/** Numbers that an f16 holds, none of them so small that a device may take it for zero. */
function asF16(x: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return x.map((value) => Math.abs(value) < 2 ** -14 ? 0 : Math.f16round(value));
}

/** Keys or values as they lie on the device. */
function wordsOf(x: Float32Array<ArrayBuffer>, element?: Element) {
  return element === "f16" ? new Uint32Array(Float16Array.from(x).buffer) : x;
}

/** Rows of k and v that no key lies in. */
const FREE_ROWS = 5;

/** Rows in random order, more of them than keys; shared keys have one row. */
function listedRows(
  random: Random,
  keys: number,
  ranges: Inputs["ranges"],
  shared = 0,
): Uint32Array<ArrayBuffer> {
  const rows = random.permutation(keys + FREE_ROWS);
  const [[, , first]] = ranges;
  for (const [, , start] of ranges) {
    for (let j = 0; j < shared; j++) rows[start + j] = rows[first + j];
  }
  return Uint32Array.from(rows.slice(0, keys));
}

/** Keys or values, each moved to its row. */
function scattered(x: Float32Array<ArrayBuffer>, rows: Uint32Array): Float32Array<ArrayBuffer> {
  const width = x.length / rows.length;
  const all = new Float32Array((rows.length + FREE_ROWS) * width).fill(NaN);
  rows.forEach((row, i) => all.set(x.subarray(i * width, (i + 1) * width), row * width));
  return all;
}

export const declaration: CaseDeclaration<Size, Inputs> = {
  kernel: "attention",
  // In f16 as well: what an f16 holds is widened exactly.
  tolerance: 1e-5,
  featureOf: ({ element }) => element === "f16" ? "shader-f16" : undefined,
  // More keys than a chunk has: splits_test.ts compares the bits of those that make them.
  ordersByForm: ({ lengths }) => Math.max(...lengths) > 64,
  ownFormOnly: ({ listed, headDim }) => listed === true && headDim > 34,
  sizes: SIZES,
  modelSizes: [32, 128, 512].flatMap((rows) =>
    ELEMENTS.flatMap((element) =>
      [false, true].map((listed) => ({
        name: `${rows} rows, 16 heads of 64, ${
          listed ? "listed " : ""
        }keys and values in ${element}`,
        element,
        heads: 16,
        kvHeads: 16,
        headDim: 64,
        lengths: [rows],
        listed,
      }))
    )
  ),
  inputs({ heads, kvHeads, headDim, lengths, queries = lengths, keyGap = 0, ...size }, random) {
    const shape = { heads, kvHeads, headDim, headStride: paddedInner(headDim) };
    const ranges: [number, number, number, number][] = [];
    const shadows: [number, number][] = [];
    let firstQuery = 0;
    let keys = 0;
    for (const [i, length] of lengths.entries()) {
      const firstKey = keys + keyGap;
      ranges.unshift([firstQuery, queries[i], firstKey, length]);
      firstQuery += queries[i];
      keys = firstKey + length;
      if (!size.shadows) continue;
      for (let j = 0; j < queries[i]; j++) {
        shadows.push([firstKey + random.integer(length), keys++]);
      }
    }
    const { element } = size;
    const drawn = () => {
      const rows = headRows(random, keys * kvHeads, shape);
      const [[, , first]] = ranges;
      for (const [, , start] of ranges) {
        const width = kvHeads * shape.headStride;
        rows.copyWithin(start * width, first * width, (first + (size.shared ?? 0)) * width);
      }
      return element === "f16" ? asF16(rows) : rows;
    };
    const q = headRows(random, firstQuery * heads, shape, size.scale);
    const [k, v] = [drawn(), drawn()];
    const keyRows = size.listed ? listedRows(random, keys, ranges, size.shared) : undefined;
    return {
      shape,
      yStride: paddedInner(heads * headDim),
      ranges,
      shadows: size.shadows ? shadows : undefined,
      apart: size.apart,
      q,
      element,
      keyRows,
      k: keyRows ? scattered(k, keyRows) : k,
      v: keyRows ? scattered(v, keyRows) : v,
    };
  },
  upload(tensors, { shape, yStride, ranges, shadows, keyRows, element, q, k, v, apart }) {
    const y = tensors.untouched("y", (queriesOf(ranges) + GUARD_ROWS) * yStride);
    const sequences = Uint32Array.from(ranges.flat());
    const bound = {
      q: tensors.of("q", q),
      k: tensors.of("k", wordsOf(k, element)),
      v: tensors.of("v", wordsOf(v, element)),
      element,
      sequences: tensors.of("sequences", sequences),
      shadows: shadows && tensors.of("shadows", Uint32Array.from(shadows.flat())),
      keyRows: keyRows && tensors.of("key rows", keyRows),
      y: y.tensor,
    };
    const scratch = {
      get: (name: string, words: number) => tensors.untouched(name, words).tensor,
    };
    const options = {
      work: attentionWork(sequences),
      yStride,
      scratch: apart ? scratch : undefined,
    };
    return { record: (recorder) => attention(recorder, bound, shape, options), outputs: { y } };
  },
  reference,
  cost({ heads, kvHeads, headDim, lengths, element = "f32" }) {
    const rows = lengths.reduce((sum, length) => sum + length, 0);
    return {
      multiplyAdds: lengths.reduce((sum, n) => sum + 2 * heads * n * n * headDim, 0),
      bytes: 2 * rows * (4 * heads + elementBytes(element) * kvHeads) * headDim,
    };
  },
};

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declaration);

/** What is listed in {@linkcode kernelCase}, by the same names, with its keys in a row. */
export const inRows = defineCase<Size, Inputs>({
  ...declaration,
  sizes: declaration.sizes.filter(({ listed }) => listed)
    .map((size) => ({ ...size, listed: false })),
});
