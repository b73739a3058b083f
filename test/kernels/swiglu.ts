/** `y = silu(x G^T) * (x U^T)`. */

import type { Arithmetic } from "../../src/gpu/kernel.ts";
import { swiglu } from "../../src/kernels/swiglu.ts";
import type { TilePlan } from "../../src/kernels/weight_matrix.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import {
  dotIn,
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  uploadPair,
  uploadRows,
} from "./matrix.ts";

export interface Size {
  readonly name: string;
  readonly rows: number;
  /** Feed-forward columns: the matrix has twice as many. */
  readonly columns: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  readonly partColumns?: number;
  /** Size of x; silu has two arms. */
  readonly scale?: number;
  readonly tiles?: TilePlan;
  /** In what the products are made; default f32. */
  readonly arithmetic?: Arithmetic;
}

export interface Inputs extends Omit<Size, "scheme"> {
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
}

/** Row stride of y: the next matrix reads whole blocks. */
const strideOf = paddedInner;

/** `silu(z) = z / (1 + exp(-z))` of the gate, times the up projection. */
export function reference({ rows, columns, x, matrix, arithmetic }: Inputs) {
  const dot = dotIn(arithmetic);
  const stride = strideOf(columns);
  const y = untouchedReference((rows + GUARD_ROWS) * stride);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const gate = dot(x, row, matrix, column);
      const up = dot(x, row, matrix, columns + column);
      y[row * stride + column] = gate / (1 + Math.exp(-gate)) * up;
    }
  }
  return { y };
}

/** Columns around a tile of 64; rows and inner sizes as for matmul. */
export const declared = (call: typeof swiglu): CaseDeclaration<Size, Inputs> => ({
  kernel: "swiglu",
  tolerance: 1e-5,
  // A device may round a product before it is added.
  toleranceOf: ({ arithmetic }) => arithmetic === "f16" ? 8e-3 : undefined,
  featureOf: ({ arithmetic }) => arithmetic === "f16" ? "shader-f16" : undefined,
  sizes: [
    { name: "one by one", rows: 1, columns: 1, inner: 1, scheme: "f32" },
    { name: "1 row, bf16", rows: 1, columns: 63, inner: 13, scheme: "bf16" },
    { name: "8 rows, f32", rows: 8, columns: 65, inner: 8, scheme: "f32" },
    { name: "9 rows, f16", rows: 9, columns: 33, inner: 20, scheme: "f16" },
    { name: "17 rows, bf16", rows: 17, columns: 130, inner: 31, scheme: "bf16" },
    { name: "large", rows: 4, columns: 20, inner: 16, scheme: "f32", scale: 40 },
    { name: "in parts", rows: 17, columns: 150, inner: 24, scheme: "bf16", partColumns: 64 },
    { name: "in odd parts", rows: 3, columns: 31, inner: 9, scheme: "f32", partColumns: 5 },
    {
      name: "tiles of 32 rows",
      rows: 41,
      columns: 70,
      inner: 24,
      scheme: "bf16",
      tiles: { splits: 1, rowGroups: 4 },
    },
    {
      name: "products in f16",
      rows: 9,
      columns: 70,
      inner: 28,
      scheme: "bf16",
      arithmetic: "f16",
    },
  ],
  modelSizes: [32, 128, 512].map((rows) => ({
    name: `${rows} rows, 1024 to 3072, bf16`,
    rows,
    columns: 3072,
    inner: 1024,
    scheme: "bf16",
  })),
  inputs: ({ scheme, ...size }, random) => ({
    ...size,
    x: paddedRows(random, size.rows, size.inner, size.scale),
    matrix: randomMatrix(random, scheme, 2 * size.columns, size.inner),
  }),
  upload(tensors, { rows, columns, partColumns, tiles, x, matrix, arithmetic }) {
    const yStride = strideOf(columns);
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * yStride);
    const weights = { ...uploadPair(tensors, matrix, partColumns, arithmetic), tiles };
    const input = uploadRows(tensors, x, arithmetic);
    return {
      record: (recorder) => call(recorder, input, weights, y.tensor, { rows, yStride }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ rows, columns, inner, scheme }) => ({
    multiplyAdds: 2 * rows * columns * inner,
    bytes: matrixBytes(scheme, 2 * columns, inner) + 4 * rows * (paddedInner(inner) + columns),
  }),
});

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declared(swiglu));
