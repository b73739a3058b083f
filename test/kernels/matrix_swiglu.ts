/** `y = silu(x G^T) * (x U^T)` on matrix units. */

import type { Arithmetic } from "../../src/gpu/kernel.ts";
import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import { matrixSwiglu } from "../../src/kernels/matrix_swiglu.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { uploadMatrixRows } from "./matrix_rows.ts";
import { defineCase, GUARD_ROWS } from "./case.ts";
import {
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  unitFactors,
  uploadPair,
} from "./matrix.ts";
import { reference } from "./swiglu.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  /** Feed-forward columns: the matrix has twice as many. */
  readonly columns: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  /** f32: x in two parts. */
  readonly arithmetic?: Arithmetic;
  readonly partColumns?: number;
}

interface Inputs extends Omit<Size, "scheme"> {
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
}

/** Rows and columns around the tiles of every shape. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "matrix_swiglu",
  tolerance: 1e-5,
  featureOf: () => MATRIX_FEATURE,
  sizes: [
    { name: "one by one", rows: 1, columns: 1, inner: 1, scheme: "bf16" },
    { name: "9 rows, bf16", rows: 9, columns: 70, inner: 40, scheme: "bf16" },
    { name: "33 rows, f16", rows: 33, columns: 130, inner: 31, scheme: "f16", arithmetic: "f16" },
    { name: "65 rows, q4", rows: 65, columns: 33, inner: 64, scheme: "q4" },
    { name: "q8 in f16", rows: 17, columns: 64, inner: 96, scheme: "q8", arithmetic: "f16" },
    { name: "in odd parts", rows: 17, columns: 31, inner: 9, scheme: "f16", partColumns: 5 },
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
    x: paddedRows(random, size.rows, size.inner),
    matrix: randomMatrix(random, scheme, 2 * size.columns, size.inner),
  }),
  upload(tensors, { rows, columns, inner, partColumns, arithmetic, x, matrix }) {
    const yStride = paddedInner(columns);
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * yStride);
    const { matrixUnits } = tensors.gpu;
    const weights = uploadPair(tensors, matrix, partColumns, arithmetic);
    const { input, convert } = uploadMatrixRows(tensors, x, { rows, inner }, weights);
    const options = { rows, yStride };
    return {
      record(recorder) {
        convert(recorder);
        matrixSwiglu(recorder, matrixUnits!, input, weights, y.tensor, options);
      },
      outputs: { y },
    };
  },
  reference: (inputs) => reference(unitFactors(inputs)),
  cost: ({ rows, columns, inner, scheme }) => ({
    multiplyAdds: 2 * rows * columns * inner,
    bytes: matrixBytes(scheme, 2 * columns, inner) + 4 * rows * (paddedInner(inner) + columns),
  }),
});
