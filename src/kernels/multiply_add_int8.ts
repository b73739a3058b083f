/** The multiply-add microbenchmark in packed int8. */

import source from "../../shaders/multiply_add_int8.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/multiply_add_int8.wgsl */
export const multiplyAddInt8Kernel = defineKernel({
  name: "multiply_add_int8",
  source,
  bindings: { start: "read", result: "write" },
  params: { rounds: "u32", factor: "u32" },
});

/** Lanes of a workgroup. */
const LANES = 32;
/** Dot products of a lane in one round: 12 chains, 8 steps each. */
const STEPS = 12 * 8;
/** Operations of a packed dot product: four products and four sums. */
const OPERATIONS = 8;

/** Operations of one call. */
export function multiplyAddInt8Operations(workgroups: number, rounds: number): number {
  return OPERATIONS * STEPS * rounds * workgroups * LANES;
}

/**
 * Records `8 rounds` steps in every chain.
 * @param start `[32 workgroups]`
 * @param result `[32 workgroups]`
 * @param options.factor four codes
 */
export function multiplyAddInt8(
  recorder: Recorder,
  start: Tensor,
  result: Tensor,
  options: { readonly workgroups: number; readonly rounds: number; readonly factor: number },
): void {
  recorder.dispatch(multiplyAddInt8Kernel, {
    bindings: { start, result },
    params: { rounds: options.rounds, factor: options.factor },
    workgroups: [options.workgroups],
  });
}
