/** What the kernels that multiply matrices of training share: parameters, and how work is shared out. */

import { paddedInner } from "../quant/scheme.ts";

/** Fields of `Params`, in order. */
export const ROW_PRODUCT_PARAMS = {
  rows: "u32",
  columns: "u32",
  column_units: "u32",
  inner: "u32",
  a_stride: "u32",
  b_stride: "u32",
  c_stride: "u32",
  part: "u32",
  part_stride: "u32",
  add: "u32",
} as const;

/** Rows that a workgroup makes. */
const TILE_ROWS = 32;
/** Least inner size of a part: below it, adding parts up costs more than idle cores. */
const LEAST_PART = 256;

/** A way to compute products. */
export interface ProductForm {
  /** Units of four columns that a lane makes. */
  readonly laneUnits: number;
  /** Numbers of lanes that a workgroup may have, ascending. */
  readonly lanes: readonly number[];
  /** Workgroups that are wanted. */
  readonly workgroups: number;
}

/** How a product is shared out; it depends on its sizes only, so that a run can be repeated. */
export interface ProductTiling {
  /** Lanes of a workgroup. */
  readonly lanes: number;
  /** Workgroups down rows, which come first as they share what is larger, and across columns. */
  readonly tiles: readonly [number, number];
  /** Inner size of a part, a multiple of 8. */
  readonly part: number;
  readonly parts: number;
}

/** Shares out a product of so many rows and units of four columns. */
export function productTiling(
  { laneUnits, lanes: choices, workgroups }: ProductForm,
  { rows, inner, units }: { readonly rows: number; readonly inner: number; readonly units: number },
): ProductTiling {
  const padded = (lanes: number) => Math.ceil(units / (lanes * laneUnits)) * lanes;
  // Of those that leave fewest lanes without a column, the most.
  const lanes = choices.reduce((best, one) => padded(one) <= padded(best) ? one : best);
  const tiles = [Math.ceil(rows / TILE_ROWS), Math.ceil(units / (lanes * laneUnits))] as const;
  const wanted = Math.ceil(workgroups / (tiles[0] * tiles[1]));
  const part = Math.max(LEAST_PART, paddedInner(Math.ceil(inner / wanted)));
  return { lanes, tiles, part, parts: Math.ceil(inner / part) };
}
