/** `y = x W^T`, plain or added. */

import type { Arithmetic } from "../../src/gpu/kernel.ts";
import { matmul } from "../../src/kernels/matmul.ts";
import type { stripMatmul } from "../../src/kernels/strip_matmul.ts";
import type { TilePlan } from "../../src/kernels/weight_matrix.ts";
import {
  paddedInner,
  QUANTISED,
  type QuantisedName,
  type QuantScheme,
} from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import {
  dot,
  dotF16,
  type HostMatrix,
  matrixBytes,
  paddedRows,
  randomMatrix,
  uploadMatrix,
  uploadRows,
} from "./matrix.ts";
import { quantizedRows } from "./quantize_rows.ts";

export interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  /** What y holds is kept and added to. */
  readonly add?: boolean;
  /** Outputs of a weight part. */
  readonly partColumns?: number;
  /** Columns of y beyond the matrix's. */
  readonly extra?: number;
  /** In what the products are made; default f32. */
  readonly arithmetic?: Arithmetic;
  readonly tiles?: TilePlan;
}

export interface Inputs extends Omit<Size, "scheme"> {
  readonly x: Float32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
  /** y before the call. */
  readonly old: Float32Array<ArrayBuffer>;
}

/** The rows as codes, in the order that the matrix takes them. */
function codesFor({ rows, inner, x, matrix }: Inputs) {
  return quantizedRows({ rows, inner, x, scheme: matrix.scheme.name as QuantisedName });
}

/** `y[row, column] = sum over k of x[row, k] * w[column, k]`, plus the old y. */
export function reference(inputs: Inputs) {
  const { rows, columns, extra = 0, add, x, matrix, old, arithmetic } = inputs;
  const quantised = arithmetic === "int8" ? codesFor(inputs) : undefined;
  const stride = columns + extra;
  const y = untouchedReference((rows + GUARD_ROWS) * stride);
  if (add) y.set(old);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const sum = arithmetic === "f16"
        ? dotF16(x, row, matrix, column)
        : dot(quantised?.values ?? x, row, matrix, column);
      y[row * stride + column] = add ? old[row * stride + column] + sum : sum;
    }
  }
  return { y };
}

const layer = (rows: number, columns: number, inner: number): Size => ({
  name: `${rows} rows, ${inner} to ${columns}, bf16`,
  rows,
  columns,
  inner,
  scheme: "bf16",
});

/** Other arithmetic, and inner dimensions that are shared out, in equal parts and not. */
const ARITHMETICS: readonly Size[] = [
  ...(["bf16", "f16", ...QUANTISED] as const).map((scheme): Size => ({
    name: `products in f16, ${scheme}`,
    rows: 17,
    columns: 130,
    inner: 72,
    scheme,
    arithmetic: "f16",
  })),
  ...QUANTISED.flatMap((scheme) =>
    [72, 128, 13].map((inner): Size => ({
      name: `products in int8, ${scheme}, ${inner}`,
      rows: 11,
      columns: 131,
      inner,
      scheme,
      arithmetic: "int8",
      add: inner === 13,
    }))
  ),
  ...(["f32", "f16", "int8"] as const).flatMap((arithmetic) =>
    [2, 8].map((splits): Size => ({
      name: `products in ${arithmetic}, split in ${splits}`,
      rows: splits === 2 ? 19 : 5,
      columns: 70,
      inner: 200,
      scheme: "q8",
      arithmetic,
      tiles: { splits, rowGroups: 2 },
    }))
  ),
  ...(["f32", "f16", "int8"] as const).flatMap((arithmetic) =>
    (arithmetic === "f16" ? [17] : [40, 17]).map((rows): Size => ({
      name: `products in ${arithmetic}, ${rows} rows in tiles of 32`,
      rows,
      columns: 131,
      inner: 72,
      scheme: "q4",
      arithmetic,
      tiles: { splits: 1, rowGroups: 4 },
    }))
  ),
];

/** 1, 8, 9, 16 and 17 rows; columns around a tile of 128; inner sizes that fill no block of 8. */
export const declared = (call: typeof stripMatmul): CaseDeclaration<Size, Inputs> => ({
  kernel: "matmul",
  tolerance: 2e-6,
  // A device may round a product before it is added.
  toleranceOf: ({ arithmetic }) => arithmetic === "f16" ? 4e-3 : undefined,
  featureOf: ({ arithmetic }) => arithmetic === "f16" ? "shader-f16" : undefined,
  sizes: [
    { name: "one by one", rows: 1, columns: 1, inner: 1, scheme: "f32" },
    { name: "1 row, f32", rows: 1, columns: 129, inner: 40, scheme: "f32" },
    { name: "8 rows, f16", rows: 8, columns: 127, inner: 13, scheme: "f16" },
    { name: "9 rows, bf16", rows: 9, columns: 33, inner: 7, scheme: "bf16", extra: 3 },
    { name: "16 rows, f32", rows: 16, columns: 128, inner: 16, scheme: "f32" },
    { name: "17 rows, f16", rows: 17, columns: 200, inner: 20, scheme: "f16", extra: 1 },
    { name: "33 rows, bf16", rows: 33, columns: 257, inner: 96, scheme: "bf16" },
    { name: "added, 3 rows", rows: 3, columns: 131, inner: 24, scheme: "bf16", add: true },
    {
      name: "added, 17 rows, f32",
      rows: 17,
      columns: 65,
      inner: 9,
      scheme: "f32",
      add: true,
      extra: 7,
    },
    { name: "17 rows, q8", rows: 17, columns: 130, inner: 72, scheme: "q8" },
    { name: "9 rows, q8, odd", rows: 9, columns: 33, inner: 13, scheme: "q8", extra: 3 },
    { name: "33 rows, q4", rows: 33, columns: 257, inner: 96, scheme: "q4" },
    { name: "3 rows, q4, odd, added", rows: 3, columns: 65, inner: 37, scheme: "q4", add: true },
    { name: "q4 in parts", rows: 5, columns: 300, inner: 70, scheme: "q4", partColumns: 128 },
    ...ARITHMETICS,
    { name: "in parts", rows: 5, columns: 300, inner: 17, scheme: "f16", partColumns: 128 },
    {
      name: "in odd parts, added",
      rows: 10,
      columns: 100,
      inner: 30,
      scheme: "f32",
      partColumns: 7,
      add: true,
    },
  ],
  modelSizes: [
    ...[32, 128, 512].map((rows) => layer(rows, 1024, 1024)),
    layer(128, 3072, 1024),
    ...(["f32", "f16", ...QUANTISED] as const).map((scheme) => ({
      ...layer(128, 1024, 1024),
      name: `128 rows, 1024 to 1024, ${scheme}`,
      scheme,
    })),
    ...QUANTISED.map((scheme) => ({
      ...layer(128, 1024, 1024),
      name: `128 rows, 1024 to 1024, ${scheme}, products in int8`,
      scheme,
      arithmetic: "int8" as const,
    })),
    layer(1, 1024, 1024),
    ...(["f32", "int8"] as const).map((arithmetic) => ({
      ...layer(8, 1024, 3072),
      name: `8 rows, 1024 to 3072, q4, products in ${arithmetic}`,
      scheme: "q4" as const,
      arithmetic,
    })),
  ],
  inputs: ({ scheme, ...size }, random) => ({
    ...size,
    x: paddedRows(random, size.rows, size.inner),
    matrix: randomMatrix(random, scheme, size.columns, size.inner),
    old: random.floats(size.rows * (size.columns + (size.extra ?? 0))),
  }),
  upload(tensors, inputs) {
    const { rows, columns, extra = 0, add, partColumns, x, matrix, old } = inputs;
    const { arithmetic, tiles } = inputs;
    const stride = columns + extra;
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * stride);
    if (add) tensors.gpu.device.queue.writeBuffer(y.tensor.buffer, 0, old);
    const weights = { ...uploadMatrix(tensors, matrix, partColumns, arithmetic), tiles };
    const input = arithmetic === "int8"
      ? tensors.of("x", codesFor(inputs).packed)
      : uploadRows(tensors, x, arithmetic);
    return {
      record: (recorder) =>
        call(recorder, input, weights, y.tensor, { rows, yStride: stride, add }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ rows, columns, inner, scheme }) => ({
    multiplyAdds: rows * columns * inner,
    bytes: matrixBytes(scheme, columns, inner) + 4 * rows * (paddedInner(inner) + columns),
  }),
});

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declared(matmul));
