/** Rows in the form in which matrix units read them: f16 parts, in whole matrices. */

import source from "../../shaders/matrix_rows.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { blocksOf } from "../quant/scheme.ts";

/** shaders/matrix_rows.wgsl */
export const matrixRowsKernel = defineKernel({
  name: "matrix_rows",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", blocks: "u32", k_tiles: "u32" },
  constants: { PARTS: 2 },
  usesMatrixUnits: true,
});

/** Inner size that a workgroup multiplies in one turn: rows end with whole turns. */
const TURN = 32;

/** Rows to convert. */
export interface MatrixRowsShape {
  readonly rows: number;
  readonly inner: number;
  /** f16 numbers that an x is the sum of. */
  readonly parts: 1 | 2;
}

/** Rows and inner size of whole matrices. */
function padded({ rows: tileRows }: MatrixUnits, { rows, inner }: MatrixRowsShape) {
  return { rows: tileRows * Math.ceil(rows / tileRows), inner: TURN * Math.ceil(inner / TURN) };
}

/** Words of 4 bytes that rows take as matrices. */
export function matrixRowWords(units: MatrixUnits, shape: MatrixRowsShape): number {
  const { rows, inner } = padded(units, shape);
  return rows * inner * shape.parts / 2;
}

/**
 * Records the conversion of rows.
 * @param x `[rows, paddedInner]`
 * @param y {@linkcode matrixRowWords}
 */
export function matrixRows(
  recorder: Recorder,
  units: MatrixUnits,
  x: Tensor,
  y: Tensor,
  shape: MatrixRowsShape,
): void {
  const { rows, inner, parts } = shape;
  const whole = padded(units, shape);
  recorder.dispatch(matrixRowsKernel, {
    bindings: { x, y },
    params: { rows, blocks: blocksOf(inner), k_tiles: whole.inner / units.inner },
    constants: { PARTS: parts },
    // Operations: taking the first part off.
    cost: {
      operations: (parts - 1) * rows * inner,
      bytes: 4 * rows * inner + 4 * matrixRowWords(units, shape),
    },
    workgroups: [Math.ceil(whole.inner / 4 / 64), whole.rows],
  });
}
