/** Adds up the magnitudes of columns: how much each channel of an activation carries. */

import source from "../../shaders/sum_magnitudes.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/sum_magnitudes.wgsl */
export const sumMagnitudesKernel = defineKernel({
  name: "sum_magnitudes",
  source,
  bindings: { x: "read", sums: "write" },
  params: { rows: "u32", columns: "u32", stride: "u32" },
  constants: { LANES: 64, ADD: 0 },
});

/**
 * Records `sums[column] = sum over rows of |x[row, column]|`, or `+=` with `add`. The order of a sum
 * is fixed: two runs on a device give the same bits.
 * @param x `[rows, stride]`
 * @param sums `[columns]`
 */
export function sumMagnitudes(
  recorder: Recorder,
  x: Tensor,
  sums: Tensor,
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    /** Whether to add to what `sums` holds; default false. */
    readonly add?: boolean;
  },
): void {
  const { rows, columns, stride, add = false } = options;
  recorder.dispatch(sumMagnitudesKernel, {
    bindings: { x, sums },
    params: { rows, columns, stride },
    constants: { ADD: add ? 1 : 0 },
    cost: { operations: rows * columns, bytes: 4 * (rows + 1) * columns },
    workgroups: [Math.ceil(columns / sumMagnitudesKernel.constants.LANES)],
  });
}
