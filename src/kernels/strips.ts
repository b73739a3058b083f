/** Products in strips of columns: how a software adapter multiplies rows by weights in f32. */

import type { Gpu } from "../gpu/device.ts";
import type { WeightMatrix } from "./weight_matrix.ts";

/** Override constants of shaders/lib/multiply_strip.wgsl and their defaults. */
export const STRIP_CONSTANTS = { LANES: 16, ROW_GROUPS: 1 } as const;

/** Rows of a strip. */
const STRIP_ROWS = 8;
/** Numbers that are stored at once. */
const FOUR = 4;

/** Columns of a strip, of both matrices of a pair. */
export const STRIP_COLUMNS: number = 2 * FOUR * STRIP_CONSTANTS.LANES;

/**
 * Whether a matrix is multiplied in strips. Its bits are those of tiles without splits. Lanes store four
 * columns at once, so columns must come in fours wherever they are counted.
 * @param counts numbers that must be multiples of four, such as the stride of what is stored
 */
export function runsInStrips(
  { rowForm }: Pick<Gpu, "rowForm">,
  { arithmetic, tiles, parts }: WeightMatrix,
  ...counts: readonly number[]
): boolean {
  return rowForm === "exchanged" && arithmetic === "f32" && (tiles?.splits ?? 1) === 1 &&
    counts.every((count) => count % FOUR === 0) &&
    parts.every(({ firstColumn, columns }) => firstColumn % FOUR === 0 && columns % FOUR === 0);
}

/** Rows from which strips have two groups of eight: weights are read half as often. */
const MANY_ROWS = 64;

/**
 * The dispatch whose strips cover `rows` rows and so many columns, of both matrices of a pair.
 * @param mostGroups groups of eight rows that the kernel can make at once; two take it twice as long to
 * compile, and pay where a matrix has many strips
 */
export function strips(
  rows: number,
  columns: number,
  mostGroups: 1 | 2 = 1,
): {
  readonly constants: Record<keyof typeof STRIP_CONSTANTS, number>;
  readonly workgroups: readonly [number, number];
} {
  const groups = rows >= MANY_ROWS ? mostGroups : 1;
  // The strips of the same columns run in succession, so that their weights stay in the cache.
  return {
    constants: { ...STRIP_CONSTANTS, ROW_GROUPS: groups },
    workgroups: [Math.ceil(rows / (STRIP_ROWS * groups)), Math.ceil(columns / STRIP_COLUMNS)],
  };
}
