/** AdamW on f32 weights. */

import source from "../../shaders/adam_w.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { elementGroups } from "./combine.ts";

/** shaders/adam_w.wgsl */
export const adamWKernel = defineKernel({
  name: "adam_w",
  source,
  bindings: { weight: "write", gradient: "write", m: "write", v: "write", norm: "read" },
  params: {
    elements: "u32",
    rate: "f32",
    kept: "f32",
    beta1: "f32",
    beta2: "f32",
    rest1: "f32",
    rest2: "f32",
    correction1: "f32",
    correction2: "f32",
    epsilon: "f32",
  },
  constants: { CLEAR: 0 },
});

/** What an AdamW step depends on. */
export interface AdamWOptions {
  readonly rate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Share of a weight that `rate` 1 would take away, apart from the gradient. */
  readonly decay: number;
  /** Counted from 1; it corrects the means, which begin at 0. */
  readonly step: number;
}

/**
 * Records a step: `g = norm[2] gradient`, `m = beta1 m + (1 - beta1) g`, `v = beta2 v + (1 - beta2) g^2`,
 * `weight = (1 - rate decay) weight - rate m' / (sqrt(v') + epsilon)`, where m' and v' are m and v over
 * `1 - beta^step` (Loshchilov and Hutter 2019, algorithm 2).
 * @param tensors each `[elements]`, with zeros behind up to a whole group of four, but
 * @param tensors.norm `[4]`, as `sumSquares` leaves it
 * @param options.clear whether the gradient becomes 0, for the next step to add to
 * @throws {RangeError} when the step is not a whole number from 1 on
 */
export function adamW(
  recorder: Recorder,
  tensors: {
    readonly weight: Tensor;
    readonly gradient: Tensor;
    readonly m: Tensor;
    readonly v: Tensor;
    readonly norm: Tensor;
  },
  options: AdamWOptions & { readonly elements: number; readonly clear?: boolean },
): void {
  const { elements, rate, beta1, beta2, epsilon, decay, step, clear = false } = options;
  if (!(Number.isInteger(step) && step >= 1)) {
    throw new RangeError(`step is ${step}, expected a whole number from 1 on`);
  }
  recorder.dispatch(adamWKernel, {
    bindings: tensors,
    params: {
      elements,
      rate,
      kept: 1 - rate * decay,
      beta1,
      beta2,
      rest1: 1 - beta1,
      rest2: 1 - beta2,
      correction1: 1 / (1 - beta1 ** step),
      correction2: 1 / (1 - beta2 ** step),
      epsilon,
    },
    constants: { CLEAR: clear ? 1 : 0 },
    cost: { operations: 14 * elements, bytes: 4 * elements * (clear ? 8 : 7) },
    workgroups: [elementGroups(elements)],
  });
}
