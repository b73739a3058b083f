/** A matrix whose rows become columns. */

import source from "../../shaders/transpose.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedInner } from "../quant/scheme.ts";

/** shaders/transpose.wgsl */
export const transposeKernel = defineKernel({
  name: "transpose",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", x_units: "u32", y_units: "u32" },
});

/** Units of four numbers that a workgroup turns, either way. */
const UNITS = 8;

/**
 * Records `y[column, row] = x[row, column]`.
 * @param x `[rows, paddedInner(columns)]`
 * @param y `[paddedInner(columns), paddedInner(rows)]`, zero in the padding
 */
export function transpose(
  recorder: Recorder,
  x: Tensor,
  y: Tensor,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): void {
  const [xUnits, yUnits] = [paddedInner(columns) / 4, paddedInner(rows) / 4];
  recorder.dispatch(transposeKernel, {
    bindings: { x, y },
    params: { rows, x_units: xUnits, y_units: yUnits },
    cost: { operations: 0, bytes: 32 * rows * xUnits },
    workgroups: [Math.ceil(yUnits / UNITS), Math.ceil(xUnits / UNITS)],
  });
}
