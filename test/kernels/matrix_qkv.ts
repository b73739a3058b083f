/** The projection to queries, keys and values on matrix units. */

import type { HeadShape } from "../../src/kernels/attention.ts";
import { type Arithmetic, type Element, elementBytes } from "../../src/gpu/kernel.ts";
import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import { matrixQkv } from "../../src/kernels/matrix_qkv.ts";
import { rotationTable } from "../../src/kernels/qkv.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { defineCase, UNTOUCHED_F32 } from "./case.ts";
import {
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  unitFactors,
  uploadHeads,
} from "./matrix.ts";
import { uploadMatrixRows } from "./matrix_rows.ts";
import { F16_TOLERANCE, listedRows, positionWords, reference } from "./qkv.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly theta: number;
  readonly scheme: QuantScheme["name"];
  /** f32: x in two parts. */
  readonly arithmetic?: Arithmetic;
  /** Of keys and values; default f32. */
  readonly element?: Element;
  /** Size of the rows; default 1. */
  readonly scale?: number;
  /** Where the rows lie in q. */
  readonly firstQuery?: number;
  /** Where they lie in k, v and the positions. */
  readonly firstKey?: number;
  /** Rows of k and v are listed, in random order. */
  readonly listed?: boolean;
  /** Pairs of a weight part. */
  readonly partPairs?: number;
}

interface Inputs extends Omit<Size, "scheme"> {
  readonly shape: HeadShape;
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
  /** Of all rows of k and v, and as many as q has. */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** Row of k and v of each row of x; absent: from firstKey on. */
  readonly keyRows?: Uint32Array<ArrayBuffer>;
}

/** Low, so that an angle of the f32 table is as exact as the tolerance. */
const POSITIONS = 64;

const size = (rows: number, heads: number, kvHeads: number, headDim: number): Size => ({
  name: `${rows} rows, ${heads} and ${kvHeads} heads of ${headDim}`,
  rows,
  heads,
  kvHeads,
  headDim,
  inner: 24,
  theta: 10000,
  scheme: "bf16",
});

/** At rows of size 1. A sum's error grows with its terms, not with what is left of them. */
const TOLERANCE = 2e-5;

/** Of rows of size `scale`, without sums whose terms leave too little for {@link F16_TOLERANCE}. */
function decided(values: Float64Array, scale: number): Float64Array {
  const least = TOLERANCE * scale / F16_TOLERANCE;
  return values.map((value) => value !== UNTOUCHED_F32 && Math.abs(value) < least ? NaN : value);
}

/** Heads that fill a tile, lie across two, or leave channels over. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "matrix_qkv",
  tolerance: TOLERANCE,
  toleranceOf: ({ element }) => element === "f16" ? F16_TOLERANCE : undefined,
  featureOf: () => MATRIX_FEATURE,
  sizes: [
    size(1, 4, 4, 16),
    { ...size(9, 3, 1, 18), theta: 500000, scheme: "f16", inner: 13 },
    { ...size(6, 2, 1, 64), name: "queries and keys apart", firstQuery: 5, firstKey: 2 },
    size(33, 6, 2, 32),
    { ...size(65, 2, 1, 128), scheme: "q8", inner: 40, arithmetic: "f16" },
    { ...size(3, 5, 1, 32), name: "q4, in parts", partPairs: 24, scheme: "q4" },
    { ...size(8, 2, 2, 34), name: "in odd parts", partPairs: 7 },
    {
      ...size(9, 3, 1, 18),
      name: "f16 keys and values",
      element: "f16",
      firstQuery: 3,
      firstKey: 5,
    },
    { ...size(7, 2, 2, 32), name: "f16, keys and values beyond it", element: "f16", scale: 3e4 },
    { ...size(33, 6, 2, 32), name: "listed", firstQuery: 3, firstKey: 5, listed: true },
    {
      ...size(9, 3, 1, 18),
      name: "listed, f16 keys and values, q4, in odd parts",
      element: "f16",
      scheme: "q4",
      inner: 40,
      partPairs: 7,
      listed: true,
    },
  ],
  modelSizes: [{ ...size(128, 16, 16, 64), inner: 1024 }],
  inputs({ scheme, ...size }, random) {
    const { rows, heads, kvHeads, headDim, inner, firstQuery = 0, firstKey = 0 } = size;
    const x = paddedRows(random, rows, inner, size.scale);
    const matrix = randomMatrix(random, scheme, (heads + 2 * kvHeads) * headDim, inner);
    const positions = random.integers(Math.max(firstQuery, firstKey) + rows + 1, POSITIONS);
    return {
      ...size,
      shape: { heads, kvHeads, headDim, headStride: paddedInner(headDim) },
      x,
      matrix,
      positions,
      keyRows: size.listed ? listedRows(random, positions, rows) : undefined,
    };
  },
  upload(tensors, inputs) {
    const { rows, firstQuery = 0, firstKey = 0, shape, x, matrix, positions } = inputs;
    const { heads, kvHeads, headDim, headStride } = shape;
    const split = (name: string, count: number) =>
      tensors.untouched(name, positions.length * count * headStride);
    const { element = "f32" } = inputs;
    const keys = (name: string) =>
      tensors.untouched(
        name,
        positions.length * kvHeads * headStride * elementBytes(element) / 4,
        [element],
      );
    const outputs = { q: split("q", heads), k: keys("k"), v: keys("v") };
    const { words, at: keyRows } = positionWords(positions, inputs.keyRows);
    const bound = {
      rowPosition: tensors.of("positions", words),
      rotation: tensors.of("rotation", rotationTable(POSITIONS, headDim, inputs.theta)),
      q: outputs.q.tensor,
      k: outputs.k.tensor,
      v: outputs.v.tensor,
      element,
    };
    const { arithmetic, partPairs } = inputs;
    const weights = uploadHeads(tensors, matrix, headDim, partPairs, arithmetic);
    const { matrixUnits } = tensors.gpu;
    const { input, convert } = uploadMatrixRows(tensors, x, inputs, weights);
    const at = { rows, firstQuery, firstKey, keyRows };
    return {
      record(recorder) {
        convert(recorder);
        matrixQkv(recorder, matrixUnits!, { ...bound, x: input }, weights, shape, at);
      },
      outputs,
    };
  },
  reference(inputs) {
    const { q, k, v } = reference(unitFactors(inputs));
    const { scale } = inputs;
    if (scale === undefined) return { q, k, v };
    return { q: decided(q, scale), k: decided(k, scale), v: decided(v, scale) };
  },
  cost({ rows, heads, kvHeads, headDim, inner, scheme }) {
    const columns = (heads + 2 * kvHeads) * headDim;
    return {
      multiplyAdds: rows * columns * (inner + 2),
      bytes: matrixBytes(scheme, columns, inner) + 4 * rows * (paddedInner(inner) + columns),
    };
  },
});
