/** Bidirectional attention: queries of every sequence, all of them or some, over its keys. */

import {
  attention,
  attentionWork,
  type FreshKeys,
  type HeadShape,
} from "../../src/kernels/attention.ts";
import { type Element, elementBytes, ELEMENTS } from "../../src/gpu/kernel.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import {
  type CaseDeclaration,
  defineCase,
  GUARD_ROWS,
  type NamedSize,
  untouchedReference,
} from "./case.ts";
import type { Random } from "./random.ts";

/** How names end of sizes that differ from others in `apart` only. */
export const APART = ", apart";

interface Size extends NamedSize {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Keys of the sequences. */
  readonly lengths: readonly number[];
  /** Queries of the sequences; default one a key. */
  readonly queries?: readonly number[];
  /** Keys ahead of each sequence that belong to none. */
  readonly keyGap?: number;
  /** So many keys of each sequence, from its second on, lie behind the keys of all. */
  readonly fresh?: number;
  /** Each query sees one key less, and one of its own that lies behind its sequence's keys. */
  readonly shadows?: boolean;
  /** Size of the queries: large ones make the softmax choose one key. */
  readonly scale?: number;
  /** Of keys and values; default f32. */
  readonly element?: Element;
  /** Whether chunks of keys have workgroups of their own. */
  readonly apart?: boolean;
  /** So many keys that all sequences begin with are the same. */
  readonly shared?: number;
  /** Keys lie in rows of random order, the shared ones once; between them are rows of NaN. */
  readonly listed?: boolean;
}

interface Inputs {
  readonly apart?: boolean;
  /** Rows of k and v that ranges and shadows count; absent: these count rows themselves. */
  readonly keyRows?: Uint32Array<ArrayBuffer>;
  readonly shape: HeadShape;
  readonly yStride: number;
  /** (first query, queries, first key, keys) of each sequence, not in order of rows. */
  readonly ranges: readonly (readonly [number, number, number, number])[];
  /** By query: the key row that it does not see, and its own. */
  readonly shadows?: readonly (readonly [number, number])[];
  readonly fresh?: FreshKeys;
  readonly element?: Element;
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
}

/** `sum over keys of softmax(q k^T / sqrt(headDim)) v`, per head and row. */
export function reference({ shape, yStride, ranges, shadows, fresh, keyRows, q, k, v }: Inputs) {
  const { heads, kvHeads, headDim, headStride } = shape;
  const y = untouchedReference((queriesOf(ranges) + GUARD_ROWS) * yStride);
  for (const [sequence, [firstQuery, queries, first, length]] of ranges.entries()) {
    for (let row = firstQuery; row < firstQuery + queries; row++) {
      const [unseen, own] = shadows?.[row] ?? [];
      const keys = Array.from({ length }, (_, j) => {
        if (!fresh || j < fresh.first || j >= fresh.first + fresh.count) return first + j;
        return fresh.row + sequence * fresh.count + j - fresh.first;
      }).filter((key) => key !== unseen);
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

/** More keys than a chunk of a GPU has. */
const CHUNKED: readonly Size[] = [
  {
    name: "chunks",
    heads: 2,
    kvHeads: 1,
    headDim: 20,
    lengths: [200, 9, 64, 129],
    queries: [3, 1, 34, 5],
    keyGap: 3,
  },
  {
    name: "chunks, sharp, shadows",
    heads: 2,
    kvHeads: 2,
    headDim: 16,
    lengths: [130, 1, 64, 65],
    queries: [5, 1, 40, 2],
    scale: 8,
    shadows: true,
  },
  {
    name: "chunks, fresh keys in f16",
    element: "f16",
    heads: 2,
    kvHeads: 1,
    headDim: 34,
    lengths: [90, 141],
    queries: [8, 3],
    fresh: 70,
  },
  {
    name: "chunks, heads together",
    heads: 12,
    kvHeads: 3,
    headDim: 20,
    lengths: [100, 70],
    queries: [7, 8],
    shadows: true,
  },
  { name: "chunks, heads of 128", heads: 1, kvHeads: 1, headDim: 128, lengths: [70], queries: [3] },
  {
    name: "chunks of 64 keys and of 256",
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    lengths: [1025, 1000],
    queries: [2, 33],
  },
  {
    name: "chunks of 256 keys and of 1024, to the last key",
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    lengths: [4097, 4096, 1024],
    queries: [2, 1, 1],
  },
];

/** Heads of every kind; one key, chunks, shadows, query heads that share keys. */
const LISTED: readonly Size[] = [
  { name: "one key", heads: 2, kvHeads: 2, headDim: 16, lengths: [1] },
  {
    name: "heads of 16 that share keys",
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    lengths: [41, 9, 70],
    queries: [3, 1, 34],
    keyGap: 5,
    shared: 9,
  },
  {
    name: "chunks apart of heads of 20, shadows",
    heads: 12,
    kvHeads: 3,
    headDim: 20,
    lengths: [100, 70, 129],
    queries: [7, 8, 2],
    shared: 20,
    shadows: true,
    apart: true,
  },
  {
    name: "chunks of heads of 34 in f16",
    element: "f16",
    heads: 2,
    kvHeads: 1,
    headDim: 34,
    lengths: [90, 141],
    queries: [8, 3],
    shared: 64,
  },
  {
    name: "heads of 64 in f16, shadows",
    element: "f16",
    heads: 2,
    kvHeads: 2,
    headDim: 64,
    lengths: [41, 9],
    queries: [3, 34],
    scale: 8,
    shadows: true,
  },
  {
    name: "heads of 128",
    heads: 2,
    kvHeads: 1,
    headDim: 128,
    lengths: [24, 9],
    shared: 8,
  },
];

/** Every number of units that a head can take; lengths around 8 keys and 32 rows. */
const declaration: CaseDeclaration<Size, Inputs> = {
  kernel: "attention",
  // In f16 as well: what an f16 holds is widened exactly.
  tolerance: 1e-5,
  featureOf: ({ element }) => element === "f16" ? "shader-f16" : undefined,
  // More keys than a chunk has: splits_test.ts compares the bits of those that make them.
  ordersByForm: ({ lengths }) => Math.max(...lengths) > 64,
  ownFormOnly: ({ listed, headDim }) => listed === true && headDim > 34,
  sizes: [
    { name: "heads of 16, alone", heads: 2, kvHeads: 2, headDim: 16, lengths: [1] },
    { name: "heads of 18", heads: 3, kvHeads: 1, headDim: 18, lengths: [9, 1, 8] },
    { name: "heads of 20", heads: 4, kvHeads: 2, headDim: 20, lengths: [17, 33] },
    { name: "heads of 32", heads: 2, kvHeads: 1, headDim: 32, lengths: [40, 7, 31, 32] },
    { name: "heads of 34", heads: 1, kvHeads: 1, headDim: 34, lengths: [10] },
    { name: "heads of 64", heads: 2, kvHeads: 2, headDim: 64, lengths: [16, 65] },
    { name: "heads of 80", heads: 2, kvHeads: 1, headDim: 80, lengths: [11, 3] },
    { name: "heads of 128", heads: 2, kvHeads: 1, headDim: 128, lengths: [9, 24] },
    { name: "sharp", heads: 2, kvHeads: 2, headDim: 20, lengths: [35], scale: 60 },
    {
      name: "fewer queries than keys",
      heads: 4,
      kvHeads: 2,
      headDim: 20,
      lengths: [41, 9, 70],
      queries: [3, 1, 34],
      keyGap: 5,
    },
    { name: "one query", heads: 2, kvHeads: 2, headDim: 64, lengths: [33], queries: [1] },
    {
      name: "more queries than keys",
      heads: 2,
      kvHeads: 1,
      headDim: 16,
      lengths: [7],
      queries: [40],
      keyGap: 11,
    },
    {
      name: "shadows",
      heads: 4,
      kvHeads: 2,
      headDim: 20,
      lengths: [41, 9, 70, 16],
      queries: [3, 9, 34, 1],
      keyGap: 5,
      shadows: true,
    },
    {
      name: "shadows of heads of 128",
      heads: 2,
      kvHeads: 2,
      headDim: 128,
      lengths: [19],
      queries: [11],
      scale: 8,
      shadows: true,
    },
    {
      name: "fresh keys",
      heads: 4,
      kvHeads: 2,
      headDim: 20,
      lengths: [41, 9, 70],
      queries: [3, 1, 34],
      fresh: 8,
    },
    {
      name: "the shadow of the only key",
      heads: 2,
      kvHeads: 1,
      headDim: 20,
      lengths: [1, 2],
      shadows: true,
    },
    ...[18, 64, 128].map((headDim): Size => ({
      name: `f16, heads of ${headDim}`,
      element: "f16",
      heads: 2,
      kvHeads: 1,
      headDim,
      lengths: [9, 1, 40],
    })),
    {
      name: "f16, fresh keys",
      element: "f16",
      heads: 4,
      kvHeads: 2,
      headDim: 20,
      lengths: [41, 9, 70],
      queries: [3, 1, 34],
      fresh: 8,
    },
    {
      name: "f16, shadows",
      element: "f16",
      heads: 2,
      kvHeads: 2,
      headDim: 64,
      lengths: [41, 9],
      queries: [3, 34],
      keyGap: 5,
      scale: 8,
      shadows: true,
    },
    ...CHUNKED,
    ...CHUNKED.map((size) => ({
      ...size,
      name: `${size.name}${APART}`,
      seed: size.name,
      apart: true,
    })),
    ...LISTED.map((size) => ({
      ...size,
      name: `listed, ${size.name}`,
      seed: size.name,
      listed: true,
    })),
  ],
  modelSizes: [32, 128, 512].flatMap((rows) =>
    ELEMENTS.map((element) => ({
      name: `${rows} rows, 16 heads of 64, keys and values in ${element}`,
      element,
      heads: 16,
      kvHeads: 16,
      headDim: 64,
      lengths: [rows],
    }))
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
    const fresh = size.fresh && { first: 1, count: size.fresh, row: keys };
    keys += (size.fresh ?? 0) * lengths.length;
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
      fresh: fresh || undefined,
      shadows: size.shadows ? shadows : undefined,
      apart: size.apart,
      q,
      element,
      keyRows,
      k: keyRows ? scattered(k, keyRows) : k,
      v: keyRows ? scattered(v, keyRows) : v,
    };
  },
  upload(tensors, { shape, yStride, ranges, shadows, fresh, keyRows, element, q, k, v, apart }) {
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
      fresh,
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
export const kernelCase = defineCase(declaration);

/** What is listed in {@linkcode kernelCase}, by the same names, with its keys in a row. */
export const inRows = defineCase({
  ...declaration,
  sizes: declaration.sizes.filter(({ listed }) => listed)
    .map((size) => ({ ...size, listed: false })),
});
