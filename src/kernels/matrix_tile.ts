/** Host side of shaders/lib/matrix_tile.wgsl: which layers run on matrix units, and their tiles. */

import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { WeightMatrix } from "./weight_matrix.ts";

/** Override constants of the shader and their defaults. */
export const MATRIX_CONSTANTS = {
  PARTS: 2,
  PAIRED: 0,
  WORKGROUP: 128,
  SUBGROUPS: 4,
  SUBGROUP_ROWS: 2,
  WIDE: 4,
} as const;

/** Subgroups one above another at most. */
const MOST_SUBGROUP_ROWS = 4;
/** Rows of a tile that are enough for its weights to be worth bringing. */
const LARGE_ROWS = 64;
/** Columns of a matrix that are fewer than 64 tiles of 128. */
const FEW_COLUMNS = 8192;
/** Lanes of a workgroup at most: the default of WebGPU. */
const MOST_LANES = 256;

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

/** The f16 numbers that an x is the sum of: for f32 arithmetic two, which are almost exact up to 65504. */
export function partsOf({ arithmetic }: Pick<WeightMatrix, "arithmetic">): 1 | 2 {
  return arithmetic === "f32" ? 2 : 1;
}

/** Settings of a dispatch's tile. */
export interface MatrixTile {
  /** Override constants. */
  readonly constants: Record<keyof typeof MATRIX_CONSTANTS, number>;
  /** Rows of a tile. */
  readonly rows: number;
  /** Columns of a tile. */
  readonly columns: number;
  /** Workgroups for a part of `columns` columns, or pairs of columns. */
  workgroups(columns: number): [x: number, y: number];
}

/** Subgroups of a tile. */
function subgroupsOf(subgroupRows: number): number {
  return Math.max(4, 2 * subgroupRows);
}

/**
 * How many subgroups lie one above another. They share the weights of a column, so there are as many as
 * cover the rows; few rows get tiles of few columns instead, which makes more workgroups. The order of
 * sums is the same in all of them.
 */
function subgroupRowsFor(
  { subgroupSize }: MatrixUnits,
  rows: number,
  tileRows: (subgroupRows: number) => number,
): number {
  let most = 1;
  while (
    tileRows(most) < rows && most < MOST_SUBGROUP_ROWS &&
    subgroupsOf(2 * most) * subgroupSize <= MOST_LANES
  ) most *= 2;
  // Rows that fill a smaller tile are not worth half of an empty larger one.
  const multiplied = (one: number) => Math.ceil(rows / tileRows(one)) * tileRows(one);
  const smaller = most / 2;
  return tileRows(smaller) >= LARGE_ROWS && multiplied(smaller) < multiplied(most) ? smaller : most;
}

/**
 * Whether tiles of few rows are as narrow as can be, because a GPU would otherwise get too few. Each
 * lane brings at least eight weights a turn, which a narrower tile may not have.
 */
function isNarrow(
  { columns: across, subgroupSize }: MatrixUnits,
  { columns }: Pick<WeightMatrix, "columns">,
  paired: boolean,
): boolean {
  return !paired && columns < FEW_COLUMNS && 4 * across >= subgroupSize;
}

/** @param paired whether the weights are pairs of columns, of which a tile makes half as many */
export function matrixTile(
  units: MatrixUnits,
  weights: Pick<WeightMatrix, "arithmetic" | "columns">,
  rows: number,
  paired = false,
): MatrixTile {
  const tileRows = (subgroupRows: number) => subgroupRows * 2 * units.rows;
  const subgroupRows = subgroupRowsFor(units, rows, tileRows);
  const subgroups = subgroupsOf(subgroupRows);
  const wide = subgroupRows > 1 ? 4 : isNarrow(units, weights, paired) ? 1 : 2;
  const columns = subgroups / subgroupRows * wide * units.columns;
  const made = columns / (paired ? 2 : 1);
  return {
    constants: {
      PARTS: partsOf(weights),
      PAIRED: paired ? 1 : 0,
      WORKGROUP: subgroups * units.subgroupSize,
      SUBGROUPS: subgroups,
      SUBGROUP_ROWS: subgroupRows,
      WIDE: wide,
    },
    rows: tileRows(subgroupRows),
    columns,
    // The row tiles of a column tile run in succession, so that its weights stay in the cache.
    workgroups: (width) => [Math.ceil(rows / tileRows(subgroupRows)), Math.ceil(width / made)],
  };
}
