/** A weight matrix on the GPU, split into as many buffers as the device's limits require. */

import type { Gpu } from "../gpu/device.ts";
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
   * Arithmetic of all parts. int8 needs rows of codes (quantize_rows.ts) and a quantised scheme.
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
   * Parts of the inner dimension that a workgroup multiplies in parallel, from 1 to 8. It decides
   * the order of sums, so it is the same for all numbers of rows. Above 1, a tile has at most two
   * row groups.
   */
  readonly splits: number;
  /** Row groups of a tile for more than 16 rows; fewer rows use smaller tiles. */
  readonly rowGroups: RowGroups;
}

/** Kernels that use tile plans. */
export type TiledKernel = "matmul" | "qkv" | "swiglu";

/** Limit of a kernel's row groups: a software adapter takes seconds to compile qkv for 32 rows. */
const MOST_ROW_GROUPS: Readonly<Record<TiledKernel, RowGroups>> = { matmul: 4, qkv: 2, swiglu: 4 };

/** Limits a plan to what the kernel supports. */
export function followed(kernel: TiledKernel, { splits, rowGroups }: TilePlan): TilePlan {
  return { splits, rowGroups: Math.min(rowGroups, MOST_ROW_GROUPS[kernel]) as RowGroups };
}

/** Least blocks in a split: with fewer, adding up the parts costs more than splitting saves. */
const SPLIT_BLOCKS = 8;

/** All different plans of a kernel, for a matrix of this inner size in blocks. */
export function tilePlans(kernel: TiledKernel, blocks: number): TilePlan[] {
  const plans: TilePlan[] = [];
  for (const splits of [1, 2, 4, 8]) {
    if (splits > 1 && blocks < splits * SPLIT_BLOCKS) break;
    for (const rowGroups of [1, 2, 4] as const) {
      const most = splits > 1 ? 2 : MOST_ROW_GROUPS[kernel];
      if (rowGroups <= most) plans.push({ splits, rowGroups });
    }
  }
  return plans;
}

/** The plan of a matrix without one. */
export const DEFAULT_TILES: TilePlan = { splits: 1, rowGroups: 2 };

/** Inner size from which the work is worth the longer compilation of a large tile. */
const LARGE_INNER = 1024;

/**
 * Tiles of a matrix by the fixed rule: large ones on a software adapter, to load weights less
 * often.
 */
export function defaultTiles({ name }: Pick<Gpu, "name">, inner: number): TilePlan {
  return /llvmpipe|swiftshader/i.test(name) && inner >= LARGE_INNER
    ? { splits: 1, rowGroups: 4 }
    : DEFAULT_TILES;
}

/** Override constants of shaders/lib/tile.wgsl and their defaults. */
export const TILE_CONSTANTS = { ROW_GROUPS: 2, SPLITS: 1, WORKGROUP: 32, PARTIALS: 1 } as const;

/** Rows of a row group. */
const GROUP_ROWS = 8;
/** Columns of a tile. */
export const TILE_COLUMNS = 128;

/** The dispatch of a kernel that multiplies rows, for one part of a matrix. */
export interface TiledDispatch {
  readonly constants: Record<keyof typeof TILE_CONSTANTS, number>;
  readonly workgroups: readonly [number, number];
}

/**
 * Makes the dispatch whose tiles cover `rows` rows and all columns of a part.
 * @param columns columns of the part on the GPU; for a pair, those of both matrices
 * @throws {RangeError} when the plan's tile does not fit workgroup memory
 */
export function tiled(
  { splits, rowGroups: most }: TilePlan,
  rows: number,
  columns: number,
): TiledDispatch {
  if (splits > 1 && most === 4) {
    throw new RangeError(`${splits} splits with four row groups, expected at most two row groups`);
  }
  const rowGroups = rows <= GROUP_ROWS ? 1 : rows <= 2 * GROUP_ROWS ? Math.min(2, most) : most;
  return {
    constants: {
      ROW_GROUPS: rowGroups,
      SPLITS: splits,
      WORKGROUP: 32 * splits,
      PARTIALS: splits > 1 ? 32 * GROUP_ROWS * rowGroups : 1,
    },
    // The row tiles of a column tile run in succession, so that its weights stay in the cache.
    workgroups: [Math.ceil(rows / (GROUP_ROWS * rowGroups)), Math.ceil(columns / TILE_COLUMNS)],
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
