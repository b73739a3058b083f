/** Rows in f16, as products in f16 read them. */

import { narrowedRowWords, narrowRows } from "../../src/kernels/narrow_rows.ts";
import { defineCase, GUARD_ROWS, UNTOUCHED_F32 } from "./case.ts";
import { paddedRows } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly inner: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Inner sizes that fill no block of 8, and around the 64 blocks of a workgroup. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "narrow_rows",
  // Half of it where the device rounds to nearest.
  tolerance: 2 ** -10,
  featureOf: () => "shader-f16",
  sizes: [
    { name: "one by one", rows: 1, inner: 1 },
    { name: "3 rows of 13", rows: 3, inner: 13 },
    { name: "9 rows of 512", rows: 9, inner: 512 },
    { name: "2 rows of 1100", rows: 2, inner: 1100 },
  ],
  modelSizes: [{ name: "128 rows of 1024", rows: 128, inner: 1024 }],
  inputs: (size, random) => ({ ...size, x: paddedRows(random, size.rows, size.inner, 100) }),
  upload(tensors, { rows, inner, x }) {
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * narrowedRowWords(inner), ["f16"]);
    const input = tensors.of("x", x);
    return {
      record: (recorder) => narrowRows(recorder, input, y.tensor, { rows, inner }),
      outputs: { y },
    };
  },
  reference({ rows, inner, x }) {
    const y = new Float64Array(2 * (rows + GUARD_ROWS) * narrowedRowWords(inner));
    y.fill(UNTOUCHED_F32).set(x.map(Math.f16round));
    return { y };
  },
  cost: ({ rows, inner }) => ({ multiplyAdds: 0, bytes: 6 * rows * inner }),
});
