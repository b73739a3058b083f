/** Computes the log-softmax of each row's chosen token. */

import source from "../../shaders/score_tokens.wgsl" with { type: "text" };
import prediction from "../../shaders/lib/prediction.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/score_tokens.wgsl */
export const scoreTokensKernel = defineKernel({
  name: "score_tokens",
  source,
  snippets: [prediction],
  bindings: { logits: "read", predictions: "read", scores: "write" },
  params: { columns: "u32" },
});

/**
 * Records the computation.
 * @param tensors.logits `[rows, columns]`
 * @param tensors.predictions `[rows]`, see shaders/lib/prediction.wgsl
 * @param tensors.scores `[rows, 2]`: log probability of the prediction's token, and minus that of the
 * likeliest
 */
export function scoreTokens(
  recorder: Recorder,
  tensors: { readonly logits: Tensor; readonly predictions: Tensor; readonly scores: Tensor },
  options: { readonly rows: number; readonly columns: number },
): void {
  const { rows, columns } = options;
  recorder.dispatch(scoreTokensKernel, {
    bindings: tensors,
    params: { columns },
    cost: { operations: 3 * rows * columns, bytes: 4 * rows * (columns + 3) },
    workgroups: [rows],
  });
}
