/** `sums[column] (+)= sum over rows of |x[row, column]|`. */

import { sumMagnitudes } from "../../src/kernels/sum_magnitudes.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, UNTOUCHED_F32, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Whether the sums join what is there, which is the untouched value. */
  readonly add?: boolean;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Columns that lie behind the last one and stay as they are. */
const GUARD = 7;

export function reference({ rows, columns, add, x }: Inputs) {
  const stride = paddedInner(columns);
  const sums = untouchedReference(columns + GUARD);
  for (let column = 0; column < columns; column++) {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += Math.abs(x[row * stride + column]);
    sums[column] = add ? UNTOUCHED_F32 + sum : sum;
  }
  return { sums };
}

/** Rows around eight, which are read together; columns around a workgroup. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "sum_magnitudes",
  tolerance: 1e-6,
  sizes: [
    { name: "one by one", rows: 1, columns: 1 },
    { name: "7 rows of 63", rows: 7, columns: 63 },
    { name: "8 rows of 64", rows: 8, columns: 64 },
    { name: "9 rows of 65, added", rows: 9, columns: 65, add: true },
    { name: "16 rows of 12, added", rows: 16, columns: 12, add: true },
    { name: "1027 rows of 130", rows: 1027, columns: 130 },
  ],
  modelSizes: [{ name: "512 rows of 3072", rows: 512, columns: 3072 }],
  inputs: (size, random) => ({ ...size, x: paddedRows(random, size.rows, size.columns) }),
  upload(tensors, { rows, columns, add, x }) {
    const input = tensors.of("x", x);
    const sums = tensors.untouched("sums", columns + GUARD);
    const stride = paddedInner(columns);
    return {
      record: (recorder) =>
        sumMagnitudes(recorder, input, sums.tensor, { rows, columns, stride, add }),
      outputs: { sums },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: rows * columns, bytes: 4 * rows * columns }),
});
