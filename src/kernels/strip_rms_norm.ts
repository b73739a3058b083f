/** Root-mean-square normalisation on a software adapter, eight rows at a time. */

import source from "../../shaders/strip_rms_norm.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/strip_rms_norm.wgsl */
export const stripRmsNormKernel = defineKernel({
  name: "strip_rms_norm",
  source,
  bindings: { x: "read", weight: "read", row_index: "read", y: "write" },
  params: {
    units: "u32",
    stride: "u32",
    rows: "u32",
    x_rows: "u32",
    first_row: "u32",
    epsilon: "f32",
  },
  constants: { GATHER: 0 },
  exchangesRows: true,
});

/** Rows of a workgroup. */
const STRIP_ROWS = 8;

/** Which rows are normed, and what of them. */
export interface NormedRows {
  readonly rows: number;
  readonly xRows: number;
  /** Row of x that is the first; default 0. */
  readonly firstRow?: number;
  readonly columns: number;
  readonly stride: number;
  readonly epsilon: number;
  readonly rowIndex?: Tensor;
}

/**
 * Records what `rmsNorm` does, for columns and a stride of whole fours.
 * @param x `[xRows, stride]`
 * @param weight `[columns]`
 * @param y `[rows, stride]`
 */
export function stripRmsNorm(
  recorder: Recorder,
  x: Tensor,
  weight: Tensor,
  y: Tensor,
  { rows, xRows, firstRow = 0, columns, stride, epsilon, rowIndex }: NormedRows,
): void {
  recorder.dispatch(stripRmsNormKernel, {
    bindings: { x, weight, row_index: rowIndex ?? weight, y },
    params: {
      units: columns / 4,
      stride: stride / 4,
      rows,
      x_rows: xRows,
      first_row: firstRow,
      epsilon,
    },
    constants: { GATHER: rowIndex ? 1 : 0 },
    // Operations: squares and their sum, scale and weight. Bytes: read and written.
    cost: { operations: 4 * rows * columns, bytes: 4 * (2 * rows + 1) * columns },
    workgroups: [Math.ceil(rows / STRIP_ROWS)],
  });
}
