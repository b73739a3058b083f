/** Log-softmax of each row's chosen token. */

import { PREDICTION_WORDS } from "../../src/kernels/predict.ts";
import { scoreTokens } from "../../src/kernels/score_tokens.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Standard deviation of the logits. */
  readonly scale: number;
  /** Added to every logit. */
  readonly shift?: number;
  /** Whether the likeliest token is chosen, else any. */
  readonly greedy?: boolean;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
  readonly tokens: readonly number[];
}

/** The formula, in f64. */
export function reference({ rows, columns, logits, tokens }: Inputs) {
  const scores = Array.from({ length: rows }, (_, row) => {
    const own = [...logits.subarray(row * columns, (row + 1) * columns)];
    const place = own.indexOf(Math.max(...own));
    const others = own.reduce(
      (sum, logit, token) => token === place ? sum : sum + Math.exp(logit - own[place]),
      0,
    );
    const rest = Math.log1p(others);
    return [own[tokens[row]] - own[place] - rest, rest];
  });
  return { scores: Float64Array.from(scores.flat()) };
}

/** Sure and unsure rows, more tokens than lanes and fewer. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "score_tokens",
  tolerance: 3e-6,
  sizes: [
    { name: "of one", rows: 2, columns: 1, scale: 1 },
    { name: "all equal", rows: 2, columns: 70, scale: 0 },
    { name: "33", rows: 5, columns: 33, scale: 3 },
    { name: "1000", rows: 4, columns: 1000, scale: 2, shift: -50 },
    { name: "sure", rows: 8, columns: 129, scale: 60, greedy: true },
  ],
  modelSizes: [{ name: "32 rows of 32768", rows: 32, columns: 32768, scale: 3 }],
  inputs(size, random) {
    const { rows, columns, scale, shift = 0, greedy } = size;
    const logits = random.floats(rows * columns, scale).map((logit) => logit + shift);
    const tokens = Array.from({ length: rows }, (_, row) => {
      const own = logits.subarray(row * columns, (row + 1) * columns);
      return greedy ? own.indexOf(Math.max(...own)) : random.integer(columns);
    });
    return { ...size, logits, tokens };
  },
  upload(tensors, { rows, columns, logits, tokens }) {
    const predictions = new Uint32Array(PREDICTION_WORDS * rows);
    tokens.forEach((token, row) => predictions[PREDICTION_WORDS * row] = token);
    const scores = tensors.untouched("scores", 2 * rows);
    const bound = {
      logits: tensors.of("logits", logits),
      predictions: tensors.of("predictions", predictions),
      scores: scores.tensor,
    };
    return {
      record: (recorder) => scoreTokens(recorder, bound, { rows, columns }),
      outputs: { scores },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 4 * rows * columns }),
});
