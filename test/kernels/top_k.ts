/** The k largest logits of each row. */

import { topK } from "../../src/kernels/top_k.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  /** `cfg_scale + 1`; rows then come in pairs. */
  readonly guidance?: number;
  /** Logits are whole numbers from 0 up to this, and tie. */
  readonly levels?: number;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
}

const WORDS = ["u32", "f32"] as const;

/** All tokens sorted, largest logit first, ties to the lower token. */
export function reference({ rows, columns, k, guidance, logits }: Inputs) {
  const found = new Float64Array(2 * rows * k);
  for (let row = 0; row < rows; row++) {
    const logit = (token: number) => {
      if (guidance === undefined) return logits[row * columns + token];
      const conditional = logits[2 * row * columns + token];
      const unconditional = logits[(2 * row + 1) * columns + token];
      return unconditional + guidance * (conditional - unconditional);
    };
    Array.from({ length: columns }, (_, token) => token)
      .sort((a, b) => logit(b) - logit(a) || a - b)
      .slice(0, k)
      .forEach((token, i) => found.set([token, logit(token)], 2 * (row * k + i)));
  }
  return { found };
}

/** Odd vocabularies, all tokens asked for, and rows where most logits are equal. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "top_k",
  tolerance: 5e-6,
  sizes: [
    { name: "of one", rows: 1, columns: 1, k: 1 },
    { name: "5 of 33", rows: 3, columns: 33, k: 5 },
    { name: "all of 31", rows: 2, columns: 31, k: 31 },
    { name: "ties", rows: 4, columns: 100, k: 40, levels: 3 },
    { name: "all equal", rows: 1, columns: 70, k: 65, levels: 1 },
    { name: "guided", rows: 3, columns: 129, k: 7, guidance: 2.5 },
    { name: "guided ties", rows: 2, columns: 65, k: 20, guidance: 2, levels: 3 },
  ],
  modelSizes: [{ name: "8 of 32768, 32 rows", rows: 32, columns: 32768, k: 8 }],
  inputs(size, random) {
    const { rows, columns, guidance, levels } = size;
    const length = rows * columns * (guidance === undefined ? 1 : 2);
    const logits = levels === undefined
      ? random.floats(length, 5)
      : Float32Array.from(random.integers(length, levels));
    return { ...size, logits };
  },
  upload(tensors, { rows, columns, k, guidance, logits }) {
    const found = tensors.untouched("found", 2 * rows * k, WORDS);
    const read = tensors.of("logits", logits);
    return {
      record: (recorder) => topK(recorder, read, found.tensor, { rows, columns, k, guidance }),
      outputs: { found },
    };
  },
  reference,
  cost: ({ rows, columns, k }) => ({ multiplyAdds: 0, bytes: 4 * rows * columns * k }),
});
