/** Host side of shaders/lib/matrix_tile.wgsl: which layers run on matrix units, and their tiles. */

import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { WeightMatrix } from "./weight_matrix.ts";

/** Override constants of the shader and their defaults. */
export const MATRIX_CONSTANTS = { PARTS: 2, PAIRED: 0, WORKGROUP: 128, SUBGROUP_ROWS: 2 } as const;

/** Subgroups of a workgroup, each of which multiplies 2 x 4 matrices. */
const SUBGROUPS = 4;

/**
 * Whether a linear layer runs on matrix units: if the device has any, the weights have at most 16
 * bits and the arithmetic is not int8. It does not depend on the number of rows, because a row must
 * have the same bits in every batch, and the other kernels sum in another order.
 */
export function runsOnMatrixUnits(
  units: MatrixUnits | undefined,
  { scheme, arithmetic }: WeightMatrix,
): units is MatrixUnits {
  return units !== undefined && scheme.bits <= 16 && arithmetic !== "int8";
}

/** Settings of a dispatch's tile. */
export interface MatrixTile {
  /** Override constants. */
  readonly constants: Record<keyof typeof MATRIX_CONSTANTS, number>;
  /** Workgroups for a part of `columns` columns, or pairs of columns. */
  workgroups(columns: number): [x: number, y: number];
}

/** @param paired whether the weights are pairs of columns, of which a tile makes half as many */
export function matrixTile(
  units: MatrixUnits,
  weights: WeightMatrix,
  rows: number,
  paired = false,
): MatrixTile {
  // Few rows get tiles with as many columns as possible. The order of sums stays the same.
  const subgroupRows = rows <= 2 * units.rows ? 1 : 2;
  const tileRows = subgroupRows * 2 * units.rows;
  const tileColumns = SUBGROUPS / subgroupRows * 4 * units.columns / (paired ? 2 : 1);
  return {
    constants: {
      // For f32 arithmetic x is split into two f16 parts, which are almost exact up to 65504.
      PARTS: weights.arithmetic === "f32" ? 2 : 1,
      PAIRED: paired ? 1 : 0,
      WORKGROUP: SUBGROUPS * units.subgroupSize,
      SUBGROUP_ROWS: subgroupRows,
    },
    // The row tiles of a column tile run in succession, so that its weights stay in the cache.
    workgroups: (columns) => [Math.ceil(rows / tileRows), Math.ceil(columns / tileColumns)],
  };
}
