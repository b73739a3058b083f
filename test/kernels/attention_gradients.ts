/** Attention and its gradients in plain loops, for the cases of its backward pass. */

import { attentionWork, type HeadShape } from "../../src/kernels/attention.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { type CaseTensors, GUARD_ROWS, untouchedReference } from "./case.ts";
import { type Named, weightedSum } from "./finite_differences.ts";
import type { Random } from "./random.ts";

/** Heads, and sequences of a batch. */
export interface GradientSize {
  readonly name: string;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Keys of the sequences. */
  readonly lengths: readonly number[];
  /** Queries of the sequences; default one a key. */
  readonly queries?: readonly number[];
  /** Rows ahead of each sequence's queries and keys that belong to none. */
  readonly gap?: number;
  /** Size of the queries: large ones make the softmax choose one key. */
  readonly scale?: number;
  /** Whether the gradients by keys and by values have a pass each; default: as the device has it. */
  readonly apart?: boolean;
}

/** Head rows are `headStride` apart, zeros behind `headDim`. */
export interface GradientInputs {
  readonly apart?: boolean;
  readonly shape: HeadShape;
  /** (first query, queries, first key, keys) of each sequence, not in order of rows. */
  readonly ranges: readonly (readonly [number, number, number, number])[];
  readonly rows: number;
  readonly keys: number;
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
  /** What attention makes of them, in f32. */
  readonly y: Float32Array<ArrayBuffer>;
  readonly dY: Float32Array<ArrayBuffer>;
}

/** Without what is made of them. */
type Asked = Omit<GradientInputs, "y" | "dY">;

/** Around a workgroup's 32 lanes and its eight rows at a time; odd heads, grouped heads, sharp softmax. */
export const GRADIENT_SIZES: readonly GradientSize[] = [
  { name: "one by one", heads: 1, kvHeads: 1, headDim: 1, lengths: [1] },
  { name: "odd heads", heads: 3, kvHeads: 3, headDim: 13, lengths: [9, 1, 17], gap: 2 },
  { name: "grouped heads", heads: 6, kvHeads: 2, headDim: 16, lengths: [33, 5] },
  { name: "sharp", heads: 2, kvHeads: 1, headDim: 16, lengths: [40], scale: 12 },
  {
    name: "other queries than keys",
    heads: 2,
    kvHeads: 1,
    headDim: 8,
    lengths: [3, 41],
    queries: [35, 2],
    gap: 1,
  },
  {
    name: "sequences without queries",
    heads: 2,
    kvHeads: 1,
    headDim: 8,
    lengths: [3, 9, 12],
    queries: [0, 4, 0],
    gap: 1,
  },
  { name: "two passes", heads: 2, kvHeads: 1, headDim: 6, lengths: [10, 12], apart: true },
  { name: "heads of 34", heads: 4, kvHeads: 2, headDim: 34, lengths: [19] },
];

/** Heads of more channels are compiled in one form: see `ownFormOnly`. */
export const MOST_CHANNELS_IN_ALL_FORMS = 16;

/** Heads as a model of hidden size 1024 has them, and as a tiny one. */
export const GRADIENT_MODEL_SIZES: readonly GradientSize[] = [
  { name: "128 rows, 8 heads of 128", heads: 8, kvHeads: 8, headDim: 128, lengths: [128] },
  {
    name: "16 times 100 rows, 4 heads of 32",
    heads: 4,
    kvHeads: 4,
    headDim: 32,
    lengths: Array(16).fill(100),
  },
];

/** Host data of a size. */
export function gradientInputs(size: GradientSize, random: Random): GradientInputs {
  const { heads, kvHeads, headDim, lengths, queries = lengths, gap = 0, scale = 1 } = size;
  const shape = { heads, kvHeads, headDim, headStride: paddedInner(headDim) };
  const ranges: [number, number, number, number][] = [];
  let [rows, keys] = [0, 0];
  for (const [i, length] of lengths.entries()) {
    ranges.unshift([rows + gap, queries[i], keys + gap, length]);
    rows += gap + queries[i];
    keys += gap + length;
  }
  const headRows = (count: number, size = 1) => {
    const x = new Float32Array(count * shape.headStride);
    for (let i = 0; i < count; i++) x.set(random.floats(headDim, size), i * shape.headStride);
    return x;
  };
  const asked = {
    apart: size.apart,
    shape,
    ranges,
    rows,
    keys,
    q: headRows(rows * heads, scale),
    k: headRows(keys * kvHeads),
    v: headRows(keys * kvHeads),
  };
  const y = Float32Array.from(attended(asked, doubles(asked)));
  return { ...asked, y, dY: headRows(rows * heads) };
}

/** What a query finds. */
interface Found {
  readonly row: number;
  readonly head: number;
  /** Where its numbers begin in rows of queries. */
  readonly at: number;
  /** Where each key's begin in rows of keys. */
  readonly keysAt: readonly number[];
  readonly weights: readonly number[];
  /** The logarithm of the sum of exponentials. */
  readonly logSum: number;
}

const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, length: number) => {
  let sum = 0;
  for (let c = 0; c < length; c++) sum += a[i + c] * b[j + c];
  return sum;
};

function* softmaxes(
  { shape, ranges }: Asked,
  q: ArrayLike<number>,
  k: ArrayLike<number>,
): Generator<Found> {
  const { heads, kvHeads, headDim, headStride } = shape;
  for (const [first, queries, firstKey, keys] of ranges) {
    for (let row = first; row < first + queries; row++) {
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor(head / (heads / kvHeads));
        const at = (row * heads + head) * headStride;
        const keysAt = Array.from(
          { length: keys },
          (_, j) => ((firstKey + j) * kvHeads + kvHead) * headStride,
        );
        const scores = keysAt.map((j) => dot(q, at, k, j, headDim) / Math.sqrt(headDim));
        const largest = Math.max(...scores);
        const total = scores.reduce((sum, score) => sum + Math.exp(score - largest), 0);
        const logSum = largest + Math.log(total);
        yield {
          row,
          head,
          at,
          keysAt,
          weights: scores.map((score) => Math.exp(score - logSum)),
          logSum,
        };
      }
    }
  }
}

/** Attention's rows, `[rows, heads, headStride]`; zeros in rows of no sequence. */
export function attended(inputs: Asked, { q, k, v }: Named): Float64Array {
  const y = new Float64Array(inputs.q.length);
  for (const { at, keysAt, weights } of softmaxes(inputs, q, k)) {
    for (let c = 0; c < inputs.shape.headDim; c++) {
      weights.forEach((weight, j) => y[at + c] += weight * v[keysAt[j] + c]);
    }
  }
  return y;
}

/** `[rows, heads]` of (logarithm of the sum of exponentials, `dY . y`), and the three gradients. */
export function attentionGradients(inputs: GradientInputs) {
  const { shape: { heads, headDim }, q, k, v, dY } = inputs;
  const scale = 1 / Math.sqrt(headDim);
  const y = attended(inputs, doubles(inputs));
  const facts = new Float64Array(2 * inputs.rows * heads);
  const gradients = {
    q: new Float64Array(q.length),
    k: new Float64Array(k.length),
    v: new Float64Array(v.length),
  };
  for (const { row, head, at, keysAt, weights, logSum } of softmaxes(inputs, q, k)) {
    const along = dot(dY, at, y, at, headDim);
    facts.set([logSum, along], 2 * (row * heads + head));
    weights.forEach((weight, j) => {
      const to = keysAt[j];
      const dScore = weight * (dot(dY, at, v, to, headDim) - along) * scale;
      for (let c = 0; c < headDim; c++) {
        gradients.q[at + c] += dScore * k[to + c];
        gradients.k[to + c] += dScore * q[at + c];
        gradients.v[to + c] += weight * dY[at + c];
      }
    });
  }
  return { facts, gradients };
}

function doubles({ q, k, v }: Asked): Named {
  return { q: Float64Array.from(q), k: Float64Array.from(k), v: Float64Array.from(v) };
}

/** The function whose gradients these are: `sum of dY . y`. */
export function attentionDifferences(inputs: GradientInputs) {
  return {
    variables: doubles(inputs),
    value: (variables: Named) => weightedSum(attended(inputs, variables), inputs.dY),
    gradients: attentionGradients(inputs).gradients,
  };
}

/** An output of `width` numbers a row: those of sequences' rows, the others untouched. */
export function writtenRows(
  { ranges, rows, keys }: GradientInputs,
  of: "queries" | "keys",
  values: Float64Array,
): Float64Array {
  const width = values.length / (of === "queries" ? rows : keys);
  const written = untouchedReference(values.length + GUARD_ROWS * width);
  for (const [firstQuery, queries, firstKey, count] of ranges) {
    const first = of === "queries" ? firstQuery : firstKey;
    const end = first + (of === "queries" ? queries : count);
    written.set(values.subarray(first * width, end * width), first * width);
  }
  return written;
}

/** Inputs on a device, with heads of `dY` and of attention's rows apart. */
export function uploadGradientInputs(tensors: CaseTensors, inputs: GradientInputs) {
  const sequences = Uint32Array.from(inputs.ranges.flat());
  return {
    work: attentionWork(sequences),
    bound: {
      q: tensors.of("q", inputs.q),
      k: tensors.of("k", inputs.k),
      v: tensors.of("v", inputs.v),
      y: tensors.of("y", inputs.y),
      dY: tensors.of("d_y", inputs.dY),
      ranges: tensors.of("ranges", sequences),
    },
  };
}

/** Multiply-adds of `products` products a pair of query and key, and bytes of `rows` rows of heads. */
export function gradientCost(
  { heads, headDim, lengths, queries = lengths }: GradientSize,
  { products, rows }: { readonly products: number; readonly rows: number },
) {
  const pairs = lengths.reduce((sum, length, i) => sum + length * queries[i], 0);
  const most = lengths.reduce((sum, length) => sum + length, 0);
  return {
    multiplyAdds: products * heads * headDim * pairs,
    bytes: 4 * rows * most * heads * headDim,
  };
}
