/** `y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight`, r = firstRow + i or `rowIndex[i]`. */

import { rmsNorm } from "../../src/kernels/rms_norm.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, defineCase, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

export interface Size {
  readonly name: string;
  /** Rows of x. */
  readonly xRows: number;
  readonly columns: number;
  readonly epsilon: number;
  /** The first row of x to norm, and all behind it; default 0. */
  readonly firstRow?: number;
  /** Rows of x to norm, in place of these. */
  readonly rowIndex?: readonly number[];
  /** Size of x. */
  readonly scale?: number;
  /** Lanes of a workgroup; those of this device by default, which for fours may be those of strips. */
  readonly lanes?: number;
}

export interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
  readonly weight: Float32Array<ArrayBuffer>;
}

/** Row by row; a row index beyond x stands for its last row. */
export function reference({ xRows, columns, epsilon, firstRow = 0, rowIndex, x, weight }: Inputs) {
  const stride = paddedInner(columns);
  const rows = rowIndex ?? Array.from({ length: xRows - firstRow }, (_, row) => firstRow + row);
  const y = untouchedReference(rows.length * stride);
  rows.forEach((row, i) => {
    const from = Math.min(row, xRows - 1) * stride;
    let squares = 0;
    for (let k = 0; k < columns; k++) squares += x[from + k] ** 2;
    const scale = 1 / Math.sqrt(squares / columns + epsilon);
    for (let k = 0; k < columns; k++) y[i * stride + k] = x[from + k] * scale * weight[k];
  });
  return { y };
}

/**
 * Around 512 columns the number of lanes changes, and where a row no longer fits into the registers of
 * all lanes it has a tail; epsilon shows where x is small.
 */
export const declared = (call: typeof rmsNorm): CaseDeclaration<Size, Inputs> => ({
  kernel: "rms_norm",
  tolerance: 2e-6,
  sizes: [
    { name: "one by one", xRows: 1, columns: 1, epsilon: 1e-5 },
    { name: "9 rows of 7", xRows: 9, columns: 7, epsilon: 1e-6 },
    { name: "17 rows of 64", xRows: 17, columns: 64, epsilon: 1e-5, lanes: 8 },
    { name: "512 columns", xRows: 3, columns: 512, epsilon: 1e-5, lanes: 8 },
    { name: "513 columns", xRows: 3, columns: 513, epsilon: 1e-5 },
    { name: "small", xRows: 2, columns: 33, epsilon: 1e-4, scale: 1e-3 },
    { name: "large", xRows: 2, columns: 33, epsilon: 1e-5, scale: 1e6 },
    { name: "zero", xRows: 2, columns: 20, epsilon: 1e-5, scale: 0, lanes: 8 },
    { name: "later rows", xRows: 9, firstRow: 5, columns: 20, epsilon: 1e-5, lanes: 8 },
    { name: "later rows, wide", xRows: 4, firstRow: 3, columns: 600, epsilon: 1e-5, lanes: 32 },
    {
      name: "gathered",
      xRows: 5,
      columns: 12,
      epsilon: 1e-5,
      lanes: 8,
      rowIndex: [4, 0, 0, 3, 9, 2, 4],
    },
    { name: "gathered, wide", xRows: 3, columns: 600, epsilon: 1e-5, lanes: 32, rowIndex: [2, 1] },
    ...[8, 32, 64, 128, 256].flatMap((lanes) =>
      [1, 33, 16 * lanes, 16 * lanes + 1].map((columns) => {
        return {
          name: `${columns} columns, ${lanes} lanes`,
          xRows: 2,
          columns,
          epsilon: 1e-5,
          lanes,
        };
      })
    ),
  ],
  modelSizes: [{ name: "128 rows of 1024", xRows: 128, columns: 1024, epsilon: 1e-5 }],
  inputs: (size, random) => ({
    ...size,
    x: paddedRows(random, size.xRows, size.columns, size.scale),
    weight: random.floats(size.columns, 2),
  }),
  upload(tensors, { xRows, columns, epsilon, firstRow, rowIndex, lanes, x, weight }) {
    const stride = paddedInner(columns);
    const rows = rowIndex?.length ?? xRows - (firstRow ?? 0);
    const y = tensors.untouched("y", rows * stride);
    const input = tensors.of("x", x);
    const factors = tensors.of("weight", weight);
    const index = rowIndex && tensors.of("row index", Uint32Array.from(rowIndex));
    return {
      record: (recorder) =>
        call(recorder, input, factors, y.tensor, {
          rows,
          xRows,
          firstRow,
          columns,
          stride,
          epsilon,
          rowIndex: index,
          lanes,
        }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ xRows, columns }) => ({
    multiplyAdds: 2 * xRows * columns,
    bytes: 8 * xRows * columns,
  }),
});

/** Compared with the reference. */
export const kernelCase = defineCase<Size, Inputs>(declared(rmsNorm));
