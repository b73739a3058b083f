/** A weight matrix on the GPU, in as many buffers as the device's limits ask for. */

import type { Arithmetic, WeightBinding } from "../gpu/kernel.ts";
import type { QuantScheme } from "../quant/scheme.ts";

/** Some of a matrix's columns (outputs), in buffers of their own. */
export interface WeightPart {
  readonly binding: WeightBinding;
  /** The first output of this part. */
  readonly firstColumn: number;
  /** Outputs in this part. */
  readonly columns: number;
}

/** `W` of `y = x W^T`, packed for `load_weight8`. Kernel wrappers loop over its parts. */
export interface WeightMatrix {
  readonly scheme: QuantScheme;
  /** Inner size in blocks of 8 weights. */
  readonly blocks: number;
  /** Outputs of all parts. For a gate/up pair: of one of the two. */
  readonly columns: number;
  readonly parts: readonly WeightPart[];
  /** Of all parts. int8 needs rows of codes (quantize_rows.ts) and a quantised scheme. */
  readonly arithmetic: Arithmetic;
  /** Parts of the inner dimension that a workgroup multiplies side by side; default 1. */
  readonly splits?: number;
}

/** Override constants of shaders/lib/tile.wgsl and their defaults. */
export const TILE_CONSTANTS = { ROW_GROUPS: 2, SPLITS: 1, WORKGROUP: 32, PARTIALS: 1 } as const;

/**
 * Groups of eight rows that one workgroup multiplies: two, unless there are fewer rows than that.
 * The sums have the same bits either way.
 */
export function rowGroups(rows: number): 1 | 2 {
  return rows <= 8 ? 1 : 2;
}

/** Override constants for a tile of so many row groups. */
export function tileConstants(
  groups: 1 | 2,
  splits = 1,
): Record<keyof typeof TILE_CONSTANTS, number> {
  return {
    ROW_GROUPS: groups,
    SPLITS: splits,
    WORKGROUP: 32 * splits,
    PARTIALS: splits > 1 ? 256 * groups : 1,
  };
}
