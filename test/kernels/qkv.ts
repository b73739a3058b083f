/** The projection to queries, keys and values, the split into heads and the rotation. */

import type { HeadShape } from "../../src/kernels/attention.ts";
import { type Arithmetic, type Element, elementBytes } from "../../src/gpu/kernel.ts";
import { qkv, rotationTable } from "../../src/kernels/qkv.ts";
import type { TilePlan } from "../../src/kernels/weight_matrix.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, untouchedReference } from "./case.ts";
import {
  dotIn,
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  uploadHeads,
  uploadRows,
} from "./matrix.ts";
import type { Random } from "./random.ts";

export interface Size {
  readonly name: string;
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly inner: number;
  readonly theta: number;
  readonly scheme: QuantScheme["name"];
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
  readonly tiles?: TilePlan;
  /** In what the products are made; default f32. */
  readonly arithmetic?: Arithmetic;
}

export interface Inputs extends Omit<Size, "scheme"> {
  readonly shape: HeadShape;
  readonly x: Float32Array<ArrayBuffer>;
  /** `[(heads + 2 kvHeads) * headDim, inner]` as a checkpoint has them. */
  readonly matrix: HostMatrix;
  /** Of all rows of k and v, and as many as q has. */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** Row of k and v of each row of x; absent: from firstKey on. */
  readonly keyRows?: Uint32Array<ArrayBuffer>;
}

/** What rounding to f16 may change, if not to nearest. */
export const F16_TOLERANCE = 2 ** -10;
/** The largest f16. */
const MOST_F16 = 65504;

/** Low, so that an angle of the f32 table is as exact as the tolerance. */
const POSITIONS = 64;

/**
 * Channel i turns against channel i + headDim / 2 by `position * theta^(-2 i / headDim)`; values are
 * not turned.
 */
export function reference(inputs: Inputs) {
  const { rows, firstQuery = 0, firstKey = 0, theta, shape, x, matrix, positions } = inputs;
  const { heads, kvHeads, headDim, headStride } = shape;
  const keyRow = (row: number) => inputs.keyRows?.[row] ?? firstKey + row;
  const dot = dotIn(inputs.arithmetic);
  const half = headDim / 2;
  const split = (
    count: number,
    firstHead: number,
    toRow: (row: number) => number,
    rotated: boolean,
  ) => {
    const all = untouchedReference(positions.length * count * headStride);
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < count; head++) {
        const from = (firstHead + head) * headDim;
        const to = (toRow(row) * count + head) * headStride;
        for (let i = 0; i < half; i++) {
          const angle = rotated ? positions[firstKey + row] * theta ** (-2 * i / headDim) : 0;
          const a = dot(x, row, matrix, from + i);
          const b = dot(x, row, matrix, from + i + half);
          all[to + i] = a * Math.cos(angle) - b * Math.sin(angle);
          all[to + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
    }
    return all;
  };
  const most = inputs.element === "f16" ? MOST_F16 : Infinity;
  const within = (value: number) => Math.max(-most, Math.min(most, value));
  return {
    q: split(heads, 0, (row) => firstQuery + row, true),
    k: split(kvHeads, heads, keyRow, true).map(within),
    v: split(kvHeads, heads + kvHeads, keyRow, false).map(within),
  };
}

export const size = (rows: number, heads: number, kvHeads: number, headDim: number): Size => ({
  name: `${rows} rows, ${heads} and ${kvHeads} heads of ${headDim}`,
  rows,
  heads,
  kvHeads,
  headDim,
  inner: 24,
  theta: 10000,
  scheme: "bf16",
});

/** Words between positions and key rows, which no row may take for either. */
const BETWEEN = 3;

/** Rows of k and v in random order, some of those that there are. */
export function listedRows(random: Random, positions: Uint32Array, rows: number) {
  return Uint32Array.from(random.permutation(positions.length).slice(0, rows));
}

/** Positions, and behind them the rows of keys, as they lie on the device. */
export function positionWords(positions: Uint32Array, keyRows?: Uint32Array) {
  const words = [...positions, ...Array(BETWEEN).fill(0), ...keyRows ?? []];
  return {
    words: Uint32Array.from(words),
    at: keyRows ? positions.length + BETWEEN : undefined,
  };
}

/** Heads that fill a tile of 64 pairs, lie across two, or leave channels over. */
export const declared = (call: typeof qkv): CaseDeclaration<Size, Inputs> => ({
  kernel: "qkv",
  tolerance: 2e-5,
  // A device may round a product in f16 before it is added.
  toleranceOf: ({ element, arithmetic }) =>
    arithmetic === "f16" ? 8e-3 : element === "f16" ? F16_TOLERANCE : undefined,
  featureOf: ({ element, arithmetic }) =>
    element === "f16" || arithmetic === "f16" ? "shader-f16" : undefined,
  sizes: [
    size(1, 4, 4, 16),
    { ...size(9, 3, 1, 18), theta: 500000, scheme: "f32", inner: 13 },
    { ...size(5, 2, 2, 20), name: "later rows", firstQuery: 3, firstKey: 3 },
    { ...size(4, 4, 2, 24), name: "later keys", firstKey: 9, scheme: "f16" },
    { ...size(6, 2, 1, 64), name: "queries and keys apart", firstQuery: 5, firstKey: 2 },
    size(17, 6, 2, 32),
    { ...size(17, 2, 1, 128), scheme: "q8", inner: 40 },
    { ...size(3, 5, 1, 32), name: "q4, in parts", partPairs: 24, scheme: "q4" },
    { ...size(8, 2, 2, 34), name: "in odd parts", partPairs: 7 },
    {
      ...size(9, 3, 1, 18),
      name: "f16 keys and values, heads of 18",
      element: "f16",
      scheme: "f32",
      inner: 13,
      firstQuery: 3,
      firstKey: 5,
    },
    {
      ...size(17, 2, 2, 64),
      name: "f16 keys and values, in odd parts",
      element: "f16",
      partPairs: 7,
    },
    { ...size(7, 2, 2, 32), name: "f16, keys and values beyond it", element: "f16", scale: 3e4 },
    { ...size(9, 2, 2, 32), name: "split in 4", tiles: { splits: 4, rowGroups: 2 }, inner: 100 },
    { ...size(35, 2, 1, 20), name: "tiles of 32 rows", tiles: { splits: 1, rowGroups: 4 } },
    { ...size(19, 2, 1, 20), name: "products in f16", arithmetic: "f16" },
    {
      ...size(9, 2, 1, 20),
      name: "products in f16, q4",
      arithmetic: "f16",
      scheme: "q4",
      inner: 40,
    },
    { ...size(9, 3, 1, 18), name: "listed, heads of 18", firstKey: 7, listed: true },
    {
      ...size(17, 2, 2, 64),
      name: "listed, f16 keys and values, q4, in odd parts",
      element: "f16",
      scheme: "q4",
      inner: 40,
      partPairs: 7,
      firstQuery: 3,
      firstKey: 5,
      listed: true,
    },
    {
      ...size(35, 2, 1, 128),
      name: "listed, tiles of 32 rows",
      tiles: { splits: 1, rowGroups: 4 },
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
    const { rows, firstQuery = 0, firstKey = 0, theta, shape, x, matrix, positions } = inputs;
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
    const { words, at } = positionWords(positions, inputs.keyRows);
    const read = {
      x: uploadRows(tensors, x, inputs.arithmetic),
      rowPosition: tensors.of("positions", words),
      rotation: tensors.of("rotation", rotationTable(POSITIONS, headDim, theta)),
    };
    const weights = {
      ...uploadHeads(tensors, matrix, headDim, inputs.partPairs, inputs.arithmetic),
      tiles: inputs.tiles,
    };
    const { q, k, v } = outputs;
    const written = { q: q.tensor, k: k.tensor, v: v.tensor, element };
    return {
      record: (recorder) =>
        call(recorder, { ...read, ...written }, weights, shape, {
          rows,
          firstQuery,
          firstKey,
          keyRows: at,
        }),
      outputs,
    };
  },
  reference,
  cost({ rows, heads, kvHeads, headDim, inner, scheme }) {
    const columns = (heads + 2 * kvHeads) * headDim;
    return {
      multiplyAdds: rows * columns * (inner + 2),
      bytes: matrixBytes(scheme, columns, inner) + 4 * rows * (paddedInner(inner) + columns),
    };
  },
});

const declaration = declared(qkv);

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declaration);

/** What is listed in {@linkcode kernelCase}, by the same names, with its keys in a row. */
export const inRows = defineCase<Size, Inputs>({
  ...declaration,
  sizes: declaration.sizes.filter(({ listed }) => listed)
    .map((size) => ({ ...size, listed: false })),
});
