/** Adds up sums of squares, and makes factors of the root. */

import source from "../../shaders/finish_norm.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { rowLanes } from "./rms_norm.ts";

/** shaders/finish_norm.wgsl */
export const finishNormKernel = defineKernel({
  name: "finish_norm",
  source,
  bindings: { sums: "read", norm: "write" },
  params: { count: "u32", most: "f32" },
  constants: { LANES: 32 },
});

/** Words of 4 bytes that a norm has. */
export const NORM_WORDS = 4;
/** Places of factors in a norm. */
export const NORM_FACTORS = { clip: 2, unit: 3 } as const;

/** Above every length that an f32 can hold. */
const NO_LIMIT = 3.4e38;

/**
 * Records the last step of {@linkcode sumSquares}.
 * @param sums `[count]`, one or more
 * @param norm `[4]`: the sum s, `sqrt(s)`, `min(1, most / sqrt(s))`, `1 / (sqrt(s) + 1e-7)`
 */
export function finishNorm(
  recorder: Recorder,
  sums: Tensor,
  norm: Tensor,
  options: { readonly count: number; readonly most?: number },
): void {
  const { count, most = NO_LIMIT } = options;
  recorder.dispatch(finishNormKernel, {
    bindings: { sums, norm },
    params: { count, most },
    constants: { LANES: rowLanes(count, recorder.gpu) },
    cost: { operations: count, bytes: 4 * (count + NORM_WORDS) },
    workgroups: [1],
  });
}
