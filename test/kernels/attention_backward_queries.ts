/** Attention's gradient by queries, and what its gradients by keys need of each query. */

import { attentionBackwardQueries } from "../../src/kernels/attention_backward_queries.ts";
import {
  attentionDifferences,
  attentionGradients,
  GRADIENT_MODEL_SIZES,
  GRADIENT_SIZES,
  gradientCost,
  type GradientInputs,
  gradientInputs,
  type GradientSize,
  MOST_CHANNELS_IN_ALL_FORMS,
  uploadGradientInputs,
  writtenRows,
} from "./attention_gradients.ts";
import { defineCase, GUARD_ROWS } from "./case.ts";

/** Rows of no sequence stay as they are. */
export function reference(inputs: GradientInputs) {
  const { facts, gradients } = attentionGradients(inputs);
  return {
    facts: writtenRows(inputs, "queries", facts),
    d_q: writtenRows(inputs, "queries", gradients.q),
  };
}

export const kernelCase = defineCase<GradientSize, GradientInputs>({
  kernel: "attention_backward_queries",
  tolerance: 2e-5,
  sizes: GRADIENT_SIZES,
  ownFormOnly: ({ headDim }) => headDim > MOST_CHANNELS_IN_ALL_FORMS,
  modelSizes: GRADIENT_MODEL_SIZES,
  inputs: gradientInputs,
  upload(tensors, inputs) {
    const { shape, rows, q } = inputs;
    const { work, bound } = uploadGradientInputs(tensors, inputs);
    const rowLength = shape.heads * shape.headStride;
    const facts = tensors.untouched("facts", 2 * (rows + GUARD_ROWS) * shape.heads);
    const d_q = tensors.untouched("d_q", q.length + GUARD_ROWS * rowLength);
    const written = { facts: facts.tensor, dQ: d_q.tensor };
    return {
      record: (recorder) =>
        attentionBackwardQueries(recorder, { ...bound, ...written }, shape, work),
      outputs: { facts, d_q },
    };
  },
  reference,
  differences: attentionDifferences,
  cost: (size) => gradientCost(size, { products: 3, rows: 6 }),
});
