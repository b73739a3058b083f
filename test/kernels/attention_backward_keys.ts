/** All gradients of attention, from rows whose heads stand side by side; those by keys and values last. */

import { attentionBackward } from "../../src/kernels/attention_backward.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
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
  const { gradients } = attentionGradients(inputs);
  return {
    d_q: writtenRows(inputs, "queries", gradients.q),
    d_k: writtenRows(inputs, "keys", gradients.k),
    d_v: writtenRows(inputs, "keys", gradients.v),
  };
}

export const kernelCase = defineCase<GradientSize, GradientInputs>({
  kernel: "attention_backward_keys",
  tolerance: 2e-5,
  sizes: GRADIENT_SIZES,
  ownFormOnly: ({ headDim }) => headDim > MOST_CHANNELS_IN_ALL_FORMS,
  modelSizes: GRADIENT_MODEL_SIZES,
  inputs: gradientInputs,
  upload(tensors, inputs) {
    const { shape, rows, keys, q, k, apart } = inputs;
    const { heads, kvHeads, headDim, headStride } = shape;
    const { work, bound } = uploadGradientInputs(tensors, inputs);
    const yStride = paddedInner(heads * headDim);
    const beside = (label: string, x: Float32Array) => {
      const y = new Float32Array(rows * yStride);
      for (let i = 0; i < rows * heads; i++) {
        const head = x.subarray(i * headStride, i * headStride + headDim);
        y.set(head, Math.floor(i / heads) * yStride + i % heads * headDim);
      }
      return tensors.of(label, y);
    };
    const y = beside("y, side by side", inputs.y);
    const dY = beside("d_y, side by side", inputs.dY);
    const keysLength = k.length + GUARD_ROWS * kvHeads * headStride;
    const d_q = tensors.untouched("d_q", q.length + GUARD_ROWS * heads * headStride);
    const d_k = tensors.untouched("d_k", keysLength);
    const d_v = tensors.untouched("d_v", keysLength);
    const written = { dQ: d_q.tensor, dK: d_k.tensor, dV: d_v.tensor };
    // What no kernel wrote must not be read.
    const scratch = {
      get: (name: string, words: number) =>
        tensors.of(name, new Float32Array(Math.max(4, words)).fill(NaN)),
    };
    const options = { work, rows, keys, yStride, scratch, apart };
    return {
      record: (recorder) =>
        attentionBackward(recorder, { ...bound, y, dY, ...written }, shape, options),
      outputs: { d_q, d_k, d_v },
    };
  },
  reference,
  differences: attentionDifferences,
  cost: (size) => gradientCost(size, { products: 7, rows: 8 }),
});
