/** Weighted sums of two tensors, in place. */

import source from "../../shaders/combine.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { NORM_FACTORS } from "./finish_norm.ts";

/** shaders/combine.wgsl */
export const combineKernel = defineKernel({
  name: "combine",
  source,
  bindings: { y: "write", x: "read", norm: "read" },
  params: { elements: "u32", own: "f32", other: "f32" },
  constants: { FACTOR_OF: 0, FACTOR: 2 },
});

/** More workgroups make no GPU busier: each then takes several groups of four elements in turn. */
const MOST_WORKGROUPS = 1024;

/** Workgroups of 256 lanes for kernels that change elements one by one, four to a lane and turn. */
export function elementGroups(elements: number): number {
  return Math.min(MOST_WORKGROUPS, Math.ceil(elements / (4 * 256)));
}

/** A number that was computed on the GPU and that one of two factors is multiplied by. */
export interface NormFactor {
  readonly of: "own" | "other";
  readonly factor: keyof typeof NORM_FACTORS;
  /** `[4]`, as `sumSquares` leaves it. */
  readonly norm: Tensor;
}

/**
 * Records `y = own y + other x`.
 * @param y `[elements]`, with zeros behind up to a whole group of four
 * @param x likewise, of another buffer
 */
export function combine(
  recorder: Recorder,
  y: Tensor,
  x: Tensor,
  options: {
    readonly elements: number;
    readonly own: number;
    readonly other: number;
    readonly times?: NormFactor;
  },
): void {
  const { elements, own, other, times } = options;
  recorder.dispatch(combineKernel, {
    bindings: { y, x, norm: times?.norm ?? x },
    params: { elements, own, other },
    constants: times &&
      { FACTOR_OF: times.of === "own" ? 1 : 2, FACTOR: NORM_FACTORS[times.factor] },
    cost: { operations: 3 * elements, bytes: 12 * elements },
    workgroups: [elementGroups(elements)],
  });
}

/**
 * Records a step of an exponential moving average: `average += (1 - kept) (x - average)`.
 * @param average `[elements]`
 * @param x `[elements]`, of another buffer
 * @param options.kept share of the average that stays, in [0, 1)
 */
export function average(
  recorder: Recorder,
  average: Tensor,
  x: Tensor,
  { elements, kept }: { readonly elements: number; readonly kept: number },
): void {
  combine(recorder, average, x, { elements, own: kept, other: 1 - kept });
}
