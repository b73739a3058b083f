/** Cross-entropy of targets, and its gradient in place of the logits. */

import { crossEntropy } from "../../src/kernels/cross_entropy.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS } from "./case.ts";
import { inPlace, logitRows } from "./logit_rows.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Standard deviation of the logits. */
  readonly scale: number;
  /** The target is the largest logit. */
  readonly sure?: boolean;
  /** Entry of the first row. */
  readonly firstRow?: number;
  /** Lanes of a workgroup; those of this device by default. */
  readonly lanes?: number;
}

/** Logits and what is asked of them; entries are those of the other tensors. */
export interface CrossEntropyInputs {
  readonly rows: number;
  readonly columns: number;
  readonly firstRow?: number;
  /** `[rows, paddedInner(columns)]` */
  readonly logits: ArrayLike<number>;
  readonly targets: ArrayLike<number>;
  readonly weights: ArrayLike<number>;
}

/** Loss of each row, and of the first largest logit whether it is the target's. */
export function crossEntropyLosses(inputs: CrossEntropyInputs) {
  const { rows, columns, firstRow = 0, logits, targets, weights } = inputs;
  const stride = paddedInner(columns);
  return Array.from({ length: rows }, (_, row) => {
    const own = Array.from({ length: columns }, (_, token) => logits[row * stride + token]);
    const peak = own.indexOf(Math.max(...own));
    const others = own.reduce(
      (sum, logit, token) => token === peak ? sum : sum + Math.exp(logit - own[peak]),
      0,
    );
    const target = targets[firstRow + row];
    const weight = weights[firstRow + row];
    const loss = weight * (own[peak] - own[target] + Math.log1p(others));
    return { own, peak, others, target, weight, loss };
  });
}

/** The formulas, in f64; entries of no row stay as they were. */
export function reference(inputs: CrossEntropyInputs) {
  const { rows, columns, firstRow = 0, targets } = inputs;
  const stride = paddedInner(columns);
  const gradient = new Float64Array((rows + GUARD_ROWS) * stride);
  gradient.fill(GUARD, rows * stride);
  const losses = new Float64Array(targets.length).fill(GUARD);
  const correct = new Float64Array(targets.length).fill(GUARD);
  crossEntropyLosses(inputs).forEach(({ own, peak, others, target, weight, loss }, row) => {
    own.forEach((logit, token) => {
      const p = Math.exp(logit - own[peak]) / (1 + others);
      const less = target === peak ? -others / (1 + others) : p - 1;
      gradient[row * stride + token] = weight * (token === target ? less : p);
    });
    losses[firstRow + row] = loss;
    correct[firstRow + row] = target === peak ? 1 : 0;
  });
  return { logits: gradient, losses, correct };
}

/** Stands in entries that no row has, and behind the last row. */
const GUARD = 77;

/** Rows shorter than the lanes and longer, unlikely targets and sure ones, entries before and behind. */
export const kernelCase = defineCase<Size, Size & CrossEntropyInputs>({
  kernel: "cross_entropy",
  tolerance: 2e-6,
  sizes: [
    { name: "of one", rows: 2, columns: 1, scale: 1 },
    { name: "of 7", rows: 3, columns: 7, scale: 2 },
    { name: "all equal", rows: 2, columns: 70, scale: 0 },
    { name: "320", rows: 5, columns: 320, scale: 3, firstRow: 4 },
    { name: "unlikely", rows: 3, columns: 33, scale: 30 },
    { name: "sure", rows: 8, columns: 129, scale: 60, sure: true },
    { name: "5001", rows: 2, columns: 5001, scale: 2 },
    { name: "5001, 256 lanes", rows: 2, columns: 5001, scale: 2, lanes: 256 },
    { name: "33, 256 lanes", rows: 3, columns: 33, scale: 2, lanes: 256 },
  ],
  modelSizes: [{ name: "32 rows of 32768", rows: 32, columns: 32768, scale: 3 }],
  inputs(size, random) {
    const { rows, columns, scale, sure, firstRow = 0 } = size;
    const stride = paddedInner(columns);
    const logits = logitRows(random, rows, columns, scale);
    const targets = random.integers(firstRow + rows + 2, columns);
    if (sure) {
      for (let row = 0; row < rows; row++) {
        const own = logits.subarray(row * stride, row * stride + columns);
        targets[firstRow + row] = own.indexOf(Math.max(...own));
      }
    }
    return { ...size, logits, targets, weights: random.floats(targets.length, 0.5) };
  },
  upload(tensors, { rows, columns, firstRow, lanes, logits, targets, weights }) {
    const stride = paddedInner(columns);
    const outputs = {
      logits: inPlace(tensors, "logits", Float32Array.from(logits), GUARD_ROWS * stride, GUARD),
      losses: inPlace(tensors, "losses", new Float32Array(0), targets.length, GUARD),
      correct: inPlace(tensors, "correct", new Uint32Array(0), targets.length, GUARD),
    };
    const bound = {
      logits: outputs.logits.tensor,
      targets: tensors.of("targets", Uint32Array.from(targets)),
      weights: tensors.of("weights", Float32Array.from(weights)),
      losses: outputs.losses.tensor,
      correct: outputs.correct.tensor,
    };
    return {
      record: (recorder) =>
        crossEntropy(recorder, bound, { rows, columns, stride, firstRow, lanes }),
      outputs,
    };
  },
  reference,
  differences: (inputs) => ({
    variables: { logits: Float64Array.from(inputs.logits) },
    value: ({ logits }) =>
      crossEntropyLosses({ ...inputs, logits }).reduce((sum, { loss }) => sum + loss, 0),
    gradients: { logits: reference(inputs).logits.slice(0, inputs.logits.length) },
  }),
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 16 * rows * columns }),
});
