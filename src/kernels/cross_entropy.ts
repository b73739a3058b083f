/** Cross-entropy of targets, and its gradient. */

import source from "../../shaders/cross_entropy.wgsl" with { type: "text" };
import rowSoftmax from "../../shaders/lib/row_softmax.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { softmaxLanes } from "./row_softmax.ts";

/** shaders/cross_entropy.wgsl */
export const crossEntropyKernel = defineKernel({
  name: "cross_entropy",
  source,
  snippets: [rowSoftmax],
  bindings: {
    logits: "write",
    targets: "read",
    weights: "read",
    losses: "write",
    correct: "write",
  },
  params: { columns: "u32", stride: "u32", first_row: "u32" },
  constants: { LANES: 32, GROUPS: 8 },
});

/**
 * Records `loss = weight (logsumexp(l) - l[target])` for a chunk of rows, and the gradient in place of
 * the logits: `weight (softmax(l) - onehot(target))`. Row r of the logits is entry `firstRow + r` of all
 * other tensors, so that chunks of one batch share them.
 * @param tensors.logits `[rows, stride]`; what lies beyond `columns` becomes 0
 * @param tensors.targets `[entries]` of token ids
 * @param tensors.weights `[entries]`
 * @param tensors.losses `[entries]`, weight included
 * @param tensors.correct `[entries]` of u32: 1 where the target is the first largest logit
 */
export function crossEntropy(
  recorder: Recorder,
  tensors: {
    readonly logits: Tensor;
    readonly targets: Tensor;
    readonly weights: Tensor;
    readonly losses: Tensor;
    readonly correct: Tensor;
  },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    /** Entry of the first row; default 0. */
    readonly firstRow?: number;
    /** Lanes of a workgroup, a power of two from 8 to 256 (default: by the device). */
    readonly lanes?: number;
  },
): void {
  const { rows, columns, stride, firstRow = 0 } = options;
  recorder.dispatch(crossEntropyKernel, {
    bindings: tensors,
    params: { columns, stride, first_row: firstRow },
    constants: softmaxLanes(columns, recorder.gpu, options.lanes),
    // Read for the largest, for the sum and for the gradient, and written.
    cost: { operations: 5 * rows * columns, bytes: 4 * rows * (4 * columns + 4) },
    workgroups: [rows],
  });
}
