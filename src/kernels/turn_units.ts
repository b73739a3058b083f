/** Rows by units of four numbers, turned into units by rows. */

import source from "../../shaders/turn_units.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/turn_units.wgsl */
export const turnUnitsKernel = defineKernel({
  name: "turn_units",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", units: "u32" },
});

/** Rows and units of a workgroup: as in the shader. */
const [LANES, UNITS] = [32, 8];

/**
 * Records `y[unit, row] = x[row, unit]`.
 * @param x `[rows, columns]`
 * @param y `[columns / 4, rows, 4]`
 * @param options.columns a multiple of 4
 */
export function turnUnits(
  recorder: Recorder,
  x: Tensor,
  y: Tensor,
  { rows, columns }: { readonly rows: number; readonly columns: number },
): void {
  const units = columns / 4;
  recorder.dispatch(turnUnitsKernel, {
    bindings: { x, y },
    params: { rows, units },
    cost: { operations: 0, bytes: 8 * rows * columns },
    workgroups: [Math.ceil(rows / LANES), Math.ceil(units / UNITS)],
  });
}
