/** Conditional and unconditional logits, combined. */

import { guideLogits } from "../../src/kernels/guide_logits.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** `cfg_scale + 1`. */
  readonly guidance: number;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
}

/** The formula, in f64. */
export function reference({ rows, columns, guidance, logits }: Inputs) {
  const guided = Float64Array.from({ length: rows * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const conditional = logits[2 * row * columns + column];
    const unconditional = logits[(2 * row + 1) * columns + column];
    return unconditional + guidance * (conditional - unconditional);
  });
  return { guided };
}

/** Columns around a workgroup's. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "guide_logits",
  tolerance: 1e-5,
  sizes: [
    { name: "of one", rows: 1, columns: 1, guidance: 1 },
    { name: "a workgroup", rows: 3, columns: 128, guidance: 2.5 },
    { name: "one more", rows: 2, columns: 129, guidance: 11 },
  ],
  modelSizes: [{ name: "32 rows of 32768", rows: 32, columns: 32768, guidance: 2 }],
  inputs: (size, random) => ({ ...size, logits: random.floats(2 * size.rows * size.columns, 5) }),
  upload(tensors, { rows, columns, guidance, logits }) {
    const guided = tensors.untouched("guided", (rows + 1) * columns);
    const read = tensors.of("logits", logits);
    return {
      record: (recorder) => guideLogits(recorder, read, guided.tensor, { rows, columns, guidance }),
      outputs: { guided: { ...guided, length: rows * columns } },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: rows * columns, bytes: 12 * rows * columns }),
});
