/** The gradients of root-mean-square normalisation. */

import source from "../../shaders/rms_norm_backward.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { addSplits } from "./add_splits.ts";
import { laneConstants, rowLanes } from "./rms_norm.ts";

/** shaders/rms_norm_backward.wgsl */
export const rmsNormBackwardKernel = defineKernel({
  name: "rms_norm_backward",
  source,
  bindings: {
    x: "read",
    weight: "read",
    row_index: "read",
    d_y: "read",
    d_x: "write",
    parts: "write",
  },
  params: { columns: "u32", stride: "u32", rows: "u32", rows_each: "u32", epsilon: "f32" },
  constants: { GATHER: 0, WEIGHT: 1, LANES: 32, GROUPS: 8, FIT: 2 },
});

/** Sums of rows that make `dWeight`: enough for a whole GPU; a software adapter needs one for each core. */
const [GPU_PARTS, SOFTWARE_PARTS] = [128, 8];

/**
 * Records the gradients of `rmsNorm`, with y row i made of x row r = i, or `rowIndex[i]` if given:
 * `dX[r] += ...` and `dWeight += ...`, both added to what is there. Rows are added up in a fixed order.
 * @param tensors.x `[xRows, stride]`, as `dX`
 * @param tensors.weight `[columns]`, as `dWeight`, without which only `dX` is made
 * @param tensors.dY `[rows, stride]`
 * @param options.rows rows of `dY`
 * @param options.rowIndex `[rows]`, rows of `x` of which none stands twice
 * @param options.scratch memory for the sums that make `dWeight`
 */
export function rmsNormBackward(
  recorder: Recorder,
  { x, weight, dY, dX, dWeight }: {
    readonly x: Tensor;
    readonly weight: Tensor;
    readonly dY: Tensor;
    readonly dX: Tensor;
    readonly dWeight?: Tensor;
  },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    readonly epsilon: number;
    readonly rowIndex?: Tensor;
    readonly scratch: Pick<Scratch, "get">;
    /** Lanes of a workgroup, a power of two (default: by rowLanes of rms_norm.ts). */
    readonly lanes?: number;
  },
): void {
  const { rows, columns, stride, epsilon, rowIndex, scratch } = options;
  const { software } = recorder.gpu;
  const splits = software ? SOFTWARE_PARTS : GPU_PARTS;
  const rowsEach = dWeight || software ? Math.max(1, Math.ceil(rows / splits)) : 1;
  // A kernel's outputs must not overlap, so that a frozen weight has a place of its own.
  const parts = scratch.get("sums of a norm's rows", dWeight ? splits * columns : 4);
  recorder.dispatch(rmsNormBackwardKernel, {
    bindings: { x, weight, row_index: rowIndex ?? weight, d_y: dY, d_x: dX, parts },
    params: { columns, stride, rows, rows_each: rowsEach, epsilon },
    constants: {
      GATHER: rowIndex ? 1 : 0,
      WEIGHT: dWeight ? 1 : 0,
      ...laneConstants(columns, options.lanes ?? rowLanes(columns, recorder.gpu)),
    },
    cost: {
      operations: 11 * rows * columns,
      bytes: 4 * (4 * rows + 1 + (dWeight ? splits : 0)) * columns,
    },
    // All parts are made: without rows they are zero.
    workgroups: [dWeight ? splits : Math.ceil(rows / rowsEach)],
  });
  if (dWeight) {
    const sums = { splits, rows: 1, columns, stride: columns, firstColumn: 0, add: true };
    addSplits(recorder, parts, dWeight, sums);
  }
}
