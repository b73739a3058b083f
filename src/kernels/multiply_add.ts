/** A multiply-add microbenchmark, to measure the device's peak arithmetic rate. */

import source from "../../shaders/multiply_add.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/multiply_add.wgsl */
export const multiplyAddKernel = defineKernel({
  name: "multiply_add",
  source,
  bindings: { start: "read", result: "write" },
  params: { rounds: "u32", a: "f32", b: "f32" },
});

/** Lanes of a workgroup. */
const LANES = 32;
/** Multiply-adds of a lane in one round: 12 chains, 8 steps each. */
const STEPS = 12 * 8;

/** Floating-point operations of one call. */
export function multiplyAddOperations(workgroups: number, rounds: number): number {
  return 2 * STEPS * rounds * workgroups * LANES;
}

/**
 * Records `8 rounds` steps of `x = x a + b` in every chain.
 * @param start `[32 workgroups]`
 * @param result `[32 workgroups]`
 */
export function multiplyAdd(
  recorder: Recorder,
  start: Tensor,
  result: Tensor,
  options: {
    readonly workgroups: number;
    readonly rounds: number;
    readonly a: number;
    readonly b: number;
  },
): void {
  recorder.dispatch(multiplyAddKernel, {
    bindings: { start, result },
    params: { rounds: options.rounds, a: options.a, b: options.b },
    workgroups: [options.workgroups],
  });
}
