/** A weight matrix on the GPU, in as many buffers as the device's limits ask for. */

import type { WeightBinding } from "../gpu/kernel.ts";
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
}

/**
 * Groups of eight rows that one workgroup multiplies: two, unless there are fewer rows than that.
 * The sums have the same bits either way.
 */
export function rowGroups(rows: number): 1 | 2 {
  return rows <= 8 ? 1 : 2;
}
