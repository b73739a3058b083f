/** Linear layers: `y = x W^T`, or added to `y`. */

import source from "../../shaders/matmul.wgsl" with { type: "text" };
import storeTile from "../../shaders/lib/store_tile.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { fitsScratch, type Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { addSplits } from "./add_splits.ts";
import {
  DEFAULT_TILES,
  PRODUCT_PARAMS,
  productCost,
  productParams,
  splitsBy,
  TILE_CONSTANTS,
  tiled,
  type TiledDispatch,
  type WeightMatrix,
} from "./weight_matrix.ts";

/** shaders/matmul.wgsl */
export const matmulKernel = defineKernel({
  name: "matmul",
  source,
  snippets: [tile, storeTile],
  bindings: { x: "read", y: "write" },
  params: { ...PRODUCT_PARAMS, split_stride: "u32" },
  constants: { ...TILE_CONSTANTS, ADD: 0, TURNS: 1 },
  readsWeights: true,
  multipliesRows: "tiles",
});

/** Words of the sums of splits that have workgroups of their own; 0 without such. */
function sumWords(
  gpu: Pick<Gpu, "limits">,
  { apart, constants: { SPLITS: splits } }: TiledDispatch,
  rows: number,
  columns: number,
): number {
  const words = splits * rows * columns;
  return apart > 1 && fitsScratch(gpu, words) ? words : 0;
}

/** The most words of scratch memory that a product of at most so many rows takes for sums of splits. */
export function mostSumWords(
  gpu: Pick<Gpu, "limits" | "rowForm">,
  { parts, tiles = DEFAULT_TILES }: Pick<WeightMatrix, "parts" | "tiles">,
  rows: number,
): number {
  const { rowForm: form } = gpu;
  const by = { form, splitsBy: splitsBy("matmul", form) };
  if (tiles.splits === 1 || by.splitsBy === "lanes") return 0;
  let most = 0;
  for (const { columns } of parts) {
    for (let count = 1; count <= rows; count++) {
      const found = tiled(tiles, count, columns, by);
      most = Math.max(most, sumWords(gpu, found, count, columns));
    }
  }
  return most;
}

/** Takes the scratch memory of sums of splits. */
export function takeSums(scratch: Pick<Scratch, "get">, words: number): Tensor {
  return scratch.get("sums of splits", words);
}

/**
 * Records `y = x W^T` (or `y += x W^T`), over all parts of the matrix.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, yStride]`
 * @param options.scratch memory for the sums of splits, so that several workgroups can share the inner
 * dimension of few rows; without it one makes all splits in turn, which gives the same bits
 */
export function matmul(
  recorder: Recorder,
  x: Tensor,
  weights: WeightMatrix,
  y: Tensor,
  options: {
    readonly rows: number;
    readonly yStride: number;
    readonly add?: boolean;
    readonly scratch?: Pick<Scratch, "get">;
  },
): void {
  const { rows, yStride, add = false, scratch } = options;
  const { rowForm } = recorder.gpu;
  const by = { form: rowForm, splitsBy: splitsBy("matmul", rowForm) };
  for (const part of weights.parts) {
    const { columns, firstColumn } = part;
    const tiles = tiled(weights.tiles ?? DEFAULT_TILES, rows, columns, by);
    const { constants, workgroups } = tiles;
    const { SPLITS: splits } = constants;
    const words = sumWords(recorder.gpu, tiles, rows, columns);
    const sums = words > 0 ? scratch && takeSums(scratch, words) : undefined;
    const inTurn = !sums && by.splitsBy === "workgroups" ? splits : 1;
    const adds = add && !sums;
    recorder.dispatch(matmulKernel, {
      bindings: { x, y: sums ?? y },
      params: {
        ...productParams(weights, part, { rows, yStride }),
        ...sums && { y_stride: columns, y_column: 0 },
        split_stride: sums ? rows * columns : 0,
      },
      constants: { ...constants, ADD: adds ? 1 : 0, TURNS: inTurn },
      weights: part.binding,
      cost: productCost(
        part,
        weights,
        rows,
        columns,
        (sums ? splits : 2 * inTurn - (add ? 0 : 1)) * rows * columns,
      ),
      workgroups: sums ? [...workgroups, splits] : workgroups,
    });
    if (sums) {
      addSplits(recorder, sums, y, { splits, rows, columns, stride: yStride, firstColumn, add });
    }
  }
}
