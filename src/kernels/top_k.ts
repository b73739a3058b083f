/** Finds the k largest logits of each row. */

import source from "../../shaders/top_k.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/top_k.wgsl */
export const topKKernel = defineKernel({
  name: "top_k",
  source,
  bindings: { logits: "read", found: "write" },
  params: { columns: "u32", k: "u32", guidance: "f32" },
  constants: { GUIDED: 0 },
});

/**
 * Records the search, largest first, ties to the lower token.
 * @param logits `[rows, columns]`, or `[2 rows, columns]` when guided
 * @param found `[rows, k]` of (token, bits of its logit)
 */
export function topK(
  recorder: Recorder,
  logits: Tensor,
  found: Tensor,
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly k: number;
    readonly guidance: number | undefined;
  },
): void {
  const guided = options.guidance !== undefined;
  recorder.dispatch(topKKernel, {
    bindings: { logits, found },
    params: { columns: options.columns, k: options.k, guidance: options.guidance ?? 0 },
    constants: { GUIDED: guided ? 1 : 0 },
    cost: {
      operations: 0,
      bytes: 4 * options.rows * (options.columns * (guided ? 2 : 1) + 2 * options.k),
    },
    workgroups: [options.rows],
  });
}
