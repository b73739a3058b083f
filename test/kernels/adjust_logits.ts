/** Penalties and biases of some tokens' logits. */

import { adjustLogits, type Adjustment, adjustmentWords } from "../../src/kernels/adjust_logits.ts";
import { defineCase } from "./case.ts";
import { HIDDEN } from "./head.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Number of adjusted tokens. */
  readonly count: number;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
  readonly adjustments: readonly Adjustment[];
}

/** The formula, token by token. */
export function reference({ rows, columns, logits, adjustments }: Inputs) {
  const changed = Float64Array.from(logits);
  for (let row = 0; row < rows; row++) {
    for (const { token, repetition, offset } of adjustments) {
      const at = row * columns + token;
      const logit = logits[at];
      const repeated = logit > 0 ? logit / repetition : logit * repetition;
      changed[at] = offset === -Infinity ? HIDDEN : repeated + offset;
    }
  }
  return { changed };
}

/** One token, all tokens, more than a workgroup; some hidden, some without an effect. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "adjust_logits",
  tolerance: 5e-6,
  sizes: [
    { name: "one of one", rows: 1, columns: 1, count: 1 },
    { name: "none", rows: 2, columns: 5, count: 0 },
    { name: "some of 70", rows: 3, columns: 70, count: 9 },
    { name: "more than a workgroup", rows: 2, columns: 200, count: 129 },
    { name: "all of 128", rows: 2, columns: 128, count: 128 },
  ],
  modelSizes: [{ name: "300 of 32768, 32 rows", rows: 32, columns: 32768, count: 300 }],
  inputs(size, random) {
    const tokens = random.permutation(size.columns).slice(0, size.count);
    const adjustments = tokens.map((token, i): Adjustment => ({
      token,
      repetition: i % 3 === 0 ? 1 : Math.fround(0.5 + random.next()),
      offset: i % 5 === 4 ? -Infinity : i % 4 === 1 ? 0 : Math.fround(20 * random.normal()),
    }));
    return { ...size, adjustments, logits: random.floats(size.rows * size.columns, 5) };
  },
  upload(tensors, { rows, columns, count, logits, adjustments }) {
    const changed = tensors.of("logits", logits);
    const words = adjustmentWords(adjustments);
    const read = tensors.of("adjustments", words.length > 0 ? words : new Uint32Array(4));
    return {
      record: (recorder) => adjustLogits(recorder, read, changed, { rows, columns, count }),
      outputs: { changed: { tensor: changed, length: logits.length, words: ["f32"] } },
    };
  },
  reference,
  cost: ({ rows, count }) => ({ multiplyAdds: rows * count, bytes: (16 + 8 * rows) * count }),
});
