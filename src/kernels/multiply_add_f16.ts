/** The multiply-add microbenchmark in f16, for devices with `shader-f16`. */

import source from "../../shaders/multiply_add_f16.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/multiply_add_f16.wgsl */
export const multiplyAddF16Kernel = defineKernel({
  name: "multiply_add_f16",
  source,
  bindings: { start: "read", result: "write" },
  params: { rounds: "u32", a: "f32", b: "f32" },
});

/**
 * Records `8 rounds` steps of `x = x a + b` in every chain.
 * @param start `[32 workgroups]`
 * @param result `[32 workgroups]`
 */
export function multiplyAddF16(
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
  recorder.dispatch(multiplyAddF16Kernel, {
    bindings: { start, result },
    params: { rounds: options.rounds, a: options.a, b: options.b },
    workgroups: [options.workgroups],
  });
}
