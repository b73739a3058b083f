/** The last step of a linear layer whose inner dimension several workgroups share. */

import source from "../../shaders/add_splits.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/add_splits.wgsl */
export const addSplitsKernel = defineKernel({
  name: "add_splits",
  source,
  bindings: { sums: "read", y: "write" },
  params: { rows: "u32", columns: "u32", y_stride: "u32", y_column: "u32" },
  constants: { ADD: 0, SPLITS: 4 },
});

/** Lanes of a workgroup, one for each column. */
const LANES = 128;

/**
 * Records `y = sums[0] + sums[1] + ...` (or `y += sums[0] + ...`), in that order.
 * @param sums `[splits, rows, columns]`
 * @param y `[rows, stride]`, of which the `columns` from `firstColumn` on are written
 */
export function addSplits(
  recorder: Recorder,
  sums: Tensor,
  y: Tensor,
  options: {
    readonly splits: number;
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    readonly firstColumn: number;
    readonly add?: boolean;
  },
): void {
  const { splits, rows, columns, stride, firstColumn, add } = options;
  recorder.dispatch(addSplitsKernel, {
    bindings: { sums, y },
    params: { rows, columns, y_stride: stride, y_column: firstColumn },
    constants: { ADD: add ? 1 : 0, SPLITS: splits },
    cost: {
      operations: rows * columns * (splits - (add ? 0 : 1)),
      bytes: 4 * rows * columns * (splits + (add ? 2 : 1)),
    },
    workgroups: [Math.ceil(columns / LANES), rows],
  });
}
