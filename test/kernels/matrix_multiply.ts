/** `y = x W^T`, plain or added, on matrix units. */

import type { Arithmetic } from "../../src/gpu/kernel.ts";
import { MATRIX_FEATURE } from "../../src/gpu/matrix_units.ts";
import { matrixMultiply } from "../../src/kernels/matrix_multiply.ts";
import { paddedInner, QUANTISED, type QuantScheme } from "../../src/quant/scheme.ts";
import { uploadMatrixRows } from "./matrix_rows.ts";
import { defineCase, GUARD_ROWS } from "./case.ts";
import { reference } from "./matmul.ts";
import {
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  unitFactors,
  uploadMatrix,
} from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  /** f32: x in two parts. */
  readonly arithmetic?: Arithmetic;
  readonly add?: boolean;
  readonly partColumns?: number;
  /** Columns of y beyond the matrix's. */
  readonly extra?: number;
  /** Size of x. */
  readonly scale?: number;
}

interface Inputs extends Omit<Size, "scheme"> {
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
  /** y before the call. */
  readonly old: Float32Array<ArrayBuffer>;
}

const layer = (rows: number, columns: number, inner: number): Size => ({
  name: `${rows} rows, ${inner} to ${columns}, bf16`,
  rows,
  columns,
  inner,
  scheme: "bf16",
});

/** Rows and columns around the tiles of every shape, inner sizes around the step of 32. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "matrix_multiply",
  tolerance: 2e-6,
  featureOf: () => MATRIX_FEATURE,
  sizes: [
    { name: "one by one", rows: 1, columns: 1, inner: 1, scheme: "bf16" },
    { name: "1 row, f16", rows: 1, columns: 129, inner: 40, scheme: "f16" },
    { name: "16 rows, bf16", rows: 16, columns: 128, inner: 32, scheme: "bf16" },
    { name: "17 rows, bf16", rows: 17, columns: 63, inner: 31, scheme: "bf16", extra: 3 },
    { name: "33 rows, f16", rows: 33, columns: 200, inner: 65, scheme: "f16", arithmetic: "f16" },
    { name: "65 rows, bf16", rows: 65, columns: 257, inner: 96, scheme: "bf16" },
    { name: "added, 3 rows", rows: 3, columns: 131, inner: 24, scheme: "bf16", add: true },
    { name: "added, 40 rows", rows: 40, columns: 65, inner: 72, scheme: "q8", add: true, extra: 7 },
    { name: "17 rows, q8", rows: 17, columns: 130, inner: 72, scheme: "q8", arithmetic: "f16" },
    { name: "33 rows, q4", rows: 33, columns: 257, inner: 96, scheme: "q4" },
    { name: "3 rows, q4, odd", rows: 3, columns: 65, inner: 37, scheme: "q4", arithmetic: "f16" },
    { name: "in parts", rows: 5, columns: 300, inner: 17, scheme: "f16", partColumns: 128 },
    { name: "in odd parts", rows: 10, columns: 100, inner: 30, scheme: "bf16", partColumns: 7 },
    { name: "few rows, many columns", rows: 3, columns: 8200, inner: 24, scheme: "bf16" },
    { name: "x beyond f16", rows: 3, columns: 20, inner: 1, scheme: "bf16", scale: 4e4 },
  ],
  modelSizes: [
    ...[32, 128, 512].map((rows) => layer(rows, 1024, 1024)),
    layer(128, 3072, 1024),
    { ...layer(128, 1024, 1024), name: "128 rows, 1024 to 1024, bf16 in f16", arithmetic: "f16" },
    ...QUANTISED.map((scheme) => ({
      ...layer(128, 1024, 1024),
      name: `128 rows, 1024 to 1024, ${scheme}`,
      scheme,
    })),
  ],
  inputs: ({ scheme, ...size }, random) => ({
    ...size,
    x: paddedRows(random, size.rows, size.inner, size.scale),
    matrix: randomMatrix(random, scheme, size.columns, size.inner),
    old: random.floats(size.rows * (size.columns + (size.extra ?? 0))),
  }),
  upload(
    tensors,
    { rows, columns, inner, extra = 0, add, partColumns, arithmetic, x, matrix, old },
  ) {
    const yStride = columns + extra;
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * yStride);
    const { device, matrixUnits } = tensors.gpu;
    if (add) device.queue.writeBuffer(y.tensor.buffer, 0, old);
    const weights = uploadMatrix(tensors, matrix, partColumns, arithmetic);
    const { input, convert } = uploadMatrixRows(tensors, x, { rows, inner }, weights);
    const options = { rows, yStride, add };
    return {
      record(recorder) {
        convert(recorder);
        matrixMultiply(recorder, matrixUnits!, input, weights, y.tensor, options);
      },
      outputs: { y },
    };
  },
  reference: (inputs) => reference(unitFactors(inputs)),
  cost: ({ rows, columns, inner, scheme }) => ({
    multiplyAdds: rows * columns * inner,
    bytes: matrixBytes(scheme, columns, inner) + 4 * rows * (paddedInner(inner) + columns),
  }),
});
