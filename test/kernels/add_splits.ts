/** The sums of splits come together in their order. */

import { addSplits } from "../../src/kernels/add_splits.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly splits: number;
  readonly rows: number;
  readonly columns: number;
  /** What y holds is kept and added to. */
  readonly add?: boolean;
  /** Columns of y before the sums' own, and as many behind. */
  readonly around?: number;
}

interface Inputs extends Size {
  readonly sums: Float32Array<ArrayBuffer>;
  /** y before the call. */
  readonly old: Float32Array<ArrayBuffer>;
}

/** Column by column, in f32 as the kernel adds. */
export function reference({ splits, rows, columns, add, around = 0, sums, old }: Inputs) {
  const stride = columns + 2 * around;
  const y = untouchedReference((rows + GUARD_ROWS) * stride);
  if (add) y.set(old);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const at = row * stride + around + column;
      let total = add ? old[at] : 0;
      for (let split = 0; split < splits; split++) {
        total = Math.fround(total + sums[(split * rows + row) * columns + column]);
      }
      y[at] = total;
    }
  }
  return { y };
}

/** Columns around the 128 lanes of a workgroup. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "add_splits",
  tolerance: 0,
  sizes: [
    { name: "one by one", splits: 2, rows: 1, columns: 1 },
    { name: "127 columns, added", splits: 4, rows: 3, columns: 127, add: true },
    { name: "128 columns", splits: 12, rows: 2, columns: 128 },
    { name: "300 columns among others", splits: 3, rows: 5, columns: 300, around: 7, add: true },
    { name: "columns among others", splits: 5, rows: 2, columns: 40, around: 3 },
  ],
  modelSizes: [{ name: "32 rows of 1024 in 4", splits: 4, rows: 32, columns: 1024, add: true }],
  inputs: (size, random) => ({
    ...size,
    sums: random.floats(size.splits * size.rows * size.columns),
    old: random.floats(size.rows * (size.columns + 2 * (size.around ?? 0))),
  }),
  upload(tensors, { splits, rows, columns, add, around = 0, sums, old }) {
    const stride = columns + 2 * around;
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * stride);
    if (add) tensors.gpu.device.queue.writeBuffer(y.tensor.buffer, 0, old);
    const parts = tensors.of("sums", sums);
    return {
      record: (recorder) =>
        addSplits(recorder, parts, y.tensor, {
          splits,
          rows,
          columns,
          stride,
          firstColumn: around,
          add,
        }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ splits, rows, columns }) => ({
    multiplyAdds: 0,
    bytes: 4 * rows * columns * (splits + 2),
  }),
});
