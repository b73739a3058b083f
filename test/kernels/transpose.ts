/** `y[column, row] = x[row, column]`. */

import { transpose } from "../../src/kernels/transpose.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Number by number; zero where x has no row or column. */
export function reference({ rows, columns, x }: Inputs) {
  const [xStride, yStride] = [paddedInner(columns), paddedInner(rows)];
  const y = untouchedReference((xStride + GUARD_ROWS) * yStride);
  y.fill(0, 0, xStride * yStride);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      y[column * yStride + row] = x[row * xStride + column];
    }
  }
  return { y };
}

/** Around the 32 by 32 numbers of a workgroup. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "transpose",
  tolerance: 0,
  sizes: [
    { name: "one number", rows: 1, columns: 1 },
    { name: "8 rows of 40", rows: 8, columns: 40 },
    { name: "33 rows of 31", rows: 33, columns: 31 },
    { name: "70 rows of 9", rows: 70, columns: 9 },
  ],
  modelSizes: [{ name: "1024 rows of 1024", rows: 1024, columns: 1024 }],
  inputs: (size, random) => ({ ...size, x: paddedRows(random, size.rows, size.columns) }),
  upload(tensors, { rows, columns, x }) {
    const from = tensors.of("x", x);
    const y = tensors.untouched("y", (paddedInner(columns) + GUARD_ROWS) * paddedInner(rows));
    return {
      record: (recorder) => transpose(recorder, from, y.tensor, { rows, columns }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 8 * rows * columns }),
});
