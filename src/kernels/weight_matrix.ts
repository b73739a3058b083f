/** A weight matrix on the GPU, split into as many buffers as the device's limits require. */

import type { Gpu } from "../gpu/device.ts";
import type { RowForm } from "../gpu/row_form.ts";
import type { Arithmetic, Cost, WeightBinding } from "../gpu/kernel.ts";
import type { QuantScheme } from "../quant/scheme.ts";

/** A part of a matrix: some of its columns (outputs), in separate buffers. */
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
  /** Outputs of all parts. For a gate/up pair: outputs of one of the two. */
  readonly columns: number;
  readonly parts: readonly WeightPart[];
  /**
   * Arithmetic of all parts. int8 needs rows of codes (quantize_rows.ts) and a quantised scheme, f16
   * rows of the element that `rowElement` tells (narrow_rows.ts).
   */
  readonly arithmetic: Arithmetic;
  /** How kernels tile their work; default {@linkcode DEFAULT_TILES}. */
  readonly tiles?: TilePlan;
}

/** Groups of eight rows that one workgroup multiplies. It does not change the bits of sums. */
export type RowGroups = 1 | 2 | 4;

/** How a matrix is tiled. */
export interface TilePlan {
  /**
   * Parts of the inner dimension whose sums are added up in order, from 1 on. It decides the order of
   * sums, so it is the same for all numbers of rows. Lanes of a workgroup make them, which then has at
   * most two row groups, or workgroups ({@linkcode SplitsBy}).
   */
  readonly splits: number;
  /** Row groups of a tile for more than 16 rows; fewer rows use smaller tiles. */
  readonly rowGroups: RowGroups;
}

/** Kernels that use tile plans. */
export type TiledKernel = "matmul" | "qkv" | "swiglu";

/** Limit of a kernel's row groups: a software adapter takes seconds to compile qkv for 32 rows. */
const MOST_ROW_GROUPS: Readonly<Record<RowForm, Readonly<Record<TiledKernel, RowGroups>>>> = {
  exchanged: { matmul: 4, qkv: 2, swiglu: 4 },
  uniform: { matmul: 4, qkv: 4, swiglu: 4 },
};

/** Limits a plan to what the kernel supports. */
export function followed(
  kernel: TiledKernel,
  { splits, rowGroups }: TilePlan,
  form: RowForm,
): TilePlan {
  return { splits, rowGroups: Math.min(rowGroups, MOST_ROW_GROUPS[form][kernel]) as RowGroups };
}

/**
 * Who makes the splits of a tile. `lanes`: groups of 32 lanes of one workgroup. `workgroups`: one
 * workgroup each where there are few tiles, else one workgroup in turn.
 */
export type SplitsBy = "lanes" | "workgroups";

/** Who makes a kernel's splits: a GPU has more use for workgroups of its own than for larger ones. */
export function splitsBy(kernel: TiledKernel, form: RowForm): SplitsBy {
  return kernel === "matmul" && form === "uniform" ? "workgroups" : "lanes";
}

/** Least blocks in a split: with fewer, adding up the parts costs more than splitting saves. */
const SPLIT_BLOCKS = 8;

/** All different plans of a kernel, for a matrix of this inner size in blocks. */
export function tilePlans(kernel: TiledKernel, blocks: number, form: RowForm): TilePlan[] {
  const byWorkgroups = splitsBy(kernel, form) === "workgroups";
  const counts = new Set([1, 2, 4, 8, ...byWorkgroups ? [splitsOf(blocks)] : []]);
  const plans: TilePlan[] = [];
  for (const splits of counts) {
    if (splits > 1 && blocks < splits * SPLIT_BLOCKS) continue;
    // Lanes of a GPU that make different splits read rows at different addresses.
    if (splits > 1 && form === "uniform" && !byWorkgroups) continue;
    for (const rowGroups of [1, 2, 4] as const) {
      const most = splits > 1 && !byWorkgroups ? 2 : MOST_ROW_GROUPS[form][kernel];
      if (rowGroups <= most) plans.push({ splits, rowGroups });
    }
  }
  return plans;
}

/** The plan of a matrix without one. */
export const DEFAULT_TILES: TilePlan = { splits: 1, rowGroups: 2 };

/** Inner size from which the work is worth the longer compilation of a large tile. */
const LARGE_INNER = 1024;

/** Blocks in a split of a GPU: 1024 of the inner size. */
const CHUNK_BLOCKS = 128;

function splitsOf(blocks: number): number {
  return Math.ceil(blocks / CHUNK_BLOCKS);
}

/**
 * Tiles of a matrix by the fixed rule. A software adapter takes large ones, to load weights less
 * often. A GPU takes large ones where there are enough of them, and splits what few tiles multiply, so
 * that all of it has work.
 */
export function defaultTiles(
  { rowForm, software }: Pick<Gpu, "rowForm" | "software">,
  kernel: TiledKernel,
  inner: number,
): TilePlan {
  if (rowForm === "uniform") {
    const splits = splitsBy(kernel, rowForm) === "workgroups" ? splitsOf(Math.ceil(inner / 8)) : 1;
    return { splits, rowGroups: 4 };
  }
  return software && inner >= LARGE_INNER ? { splits: 1, rowGroups: 4 } : DEFAULT_TILES;
}

/** Override constants of shaders/lib/tile.wgsl and their defaults. */
export const TILE_CONSTANTS = { ROW_GROUPS: 2, SPLITS: 1, WORKGROUP: 32, PARTIALS: 1 } as const;

/** Rows of a row group. */
const GROUP_ROWS = 8;
/** Columns of a tile. */
export const TILE_COLUMNS = 128;
/** Workgroups that give every part of a large GPU work: 96 to 192 SIMDs of 32 lanes, several each. */
const MANY_WORKGROUPS = 512;
/** Workgroups that give every part some. */
const LEAST_WORKGROUPS = 256;

/** The dispatch of a kernel that multiplies rows, for one part of a matrix. */
export interface TiledDispatch {
  readonly constants: Record<keyof typeof TILE_CONSTANTS, number>;
  readonly workgroups: readonly [number, number];
  /** Splits that each have workgroups of their own, 1 if there are none. */
  readonly apart: number;
}

/**
 * Makes the dispatch whose tiles cover `rows` rows and all columns of a part.
 * @param columns columns of the part on the GPU; for a pair, those of both matrices
 * @param by the device's form, and who makes splits; default: workgroups, with the plan's row groups
 * however few they are
 * @throws {RangeError} when the plan's tile does not fit workgroup memory
 */
export function tiled(
  { splits, rowGroups: most }: TilePlan,
  rows: number,
  columns: number,
  by?: { readonly form: RowForm; readonly splitsBy: SplitsBy },
): TiledDispatch {
  const byLanes = splits > 1 && by?.splitsBy === "lanes";
  if (byLanes && most === 4) {
    throw new RangeError(`${splits} splits with four row groups, expected at most two row groups`);
  }
  const tiles = (rowGroups: number) =>
    [
      Math.ceil(rows / (GROUP_ROWS * rowGroups)),
      Math.ceil(columns / TILE_COLUMNS),
    ] as const;
  const few = (rowGroups: number, wanted = MANY_WORKGROUPS) => {
    const [down, across] = tiles(rowGroups);
    return by?.form === "uniform" && down * across < wanted;
  };
  let rowGroups = rows <= GROUP_ROWS ? 1 : rows <= 2 * GROUP_ROWS ? Math.min(2, most) : most;
  if (rowGroups === 4 && few(4)) rowGroups = 2;
  // What is not split has smaller tiles instead.
  if (rowGroups === 2 && splits === 1 && few(2, LEAST_WORKGROUPS)) rowGroups = 1;
  return {
    constants: {
      ROW_GROUPS: rowGroups,
      SPLITS: splits,
      WORKGROUP: byLanes ? 32 * splits : 32,
      PARTIALS: byLanes ? 32 * GROUP_ROWS * rowGroups : 1,
    },
    // The row tiles of a column tile run in succession, so that its weights stay in the cache.
    workgroups: tiles(rowGroups),
    apart: splits > 1 && !byLanes && few(rowGroups) ? splits : 1,
  };
}

/** `Params` of the kernels that write `y [rows, y_stride]`, a part's columns from `y_column` on. */
export const PRODUCT_PARAMS = {
  rows: "u32",
  columns: "u32",
  blocks: "u32",
  y_stride: "u32",
  y_column: "u32",
} as const;

/** {@linkcode PRODUCT_PARAMS} of one part. */
export function productParams(
  { blocks }: Pick<WeightMatrix, "blocks">,
  { columns, firstColumn }: WeightPart,
  { rows, yStride }: { readonly rows: number; readonly yStride: number },
): Record<keyof typeof PRODUCT_PARAMS, number> {
  return { rows, columns, blocks, y_stride: yStride, y_column: firstColumn };
}

/** Bytes of a part's codes and scales. */
function partBytes({ binding }: WeightPart): number {
  return binding.buffers.reduce((sum, { size }) => sum + size, 0);
}

/** Cost of looking up `rows` columns of a matrix in one of its parts: the part's share of them. */
export function rowsCost(part: WeightPart, { blocks, columns }: WeightMatrix, rows: number): Cost {
  const written = 4 * 8 * blocks * part.columns;
  return { operations: 0, bytes: rows * (partBytes(part) + written) / columns };
}

/**
 * Cost of multiplying `rows` rows by a part.
 * @param columns as in {@linkcode tiled}
 * @param words words of 4 bytes written, and also read if the product is added to them
 */
export function productCost(
  part: WeightPart,
  { blocks }: Pick<WeightMatrix, "blocks">,
  rows: number,
  columns: number,
  words: number,
): Cost {
  const inner = 8 * blocks;
  return {
    operations: 2 * rows * inner * columns,
    bytes: partBytes(part) + 4 * (rows * inner + words),
  };
}
