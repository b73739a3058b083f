/** Queries, keys and values: projection, split into heads and rotary embedding in one kernel. */

import source from "../../shaders/qkv.wgsl" with { type: "text" };
import storePair from "../../shaders/lib/store_pair.wgsl" with { type: "text" };
import storeTile from "../../shaders/lib/store_tile.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { type Cost, defineKernel, type Element, elementBytes } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { HeadShape, KeysAndValues } from "./attention.ts";
import {
  DEFAULT_TILES,
  followed,
  productCost,
  splitsBy,
  TILE_CONSTANTS,
  tiled,
  type WeightMatrix,
  type WeightPart,
} from "./weight_matrix.ts";

/** shaders/qkv.wgsl */
export const qkvKernel = defineKernel({
  name: "qkv",
  source,
  snippets: [tile, storeTile, storePair],
  bindings: {
    x: "read",
    row_position: "read",
    rotation: "read",
    q: "write",
    k: "write",
    v: "write",
  },
  params: {
    rows: "u32",
    columns: "u32",
    blocks: "u32",
    first_pair: "u32",
    first_query: "u32",
    first_key: "u32",
    heads: "u32",
    kv_heads: "u32",
    head_dim: "u32",
    head_stride: "u32",
    key_rows: "u32",
  },
  constants: { ...TILE_CONSTANTS, LISTED: 0 },
  readsWeights: true,
  multipliesRows: "tiles",
  usesElement: true,
});

/**
 * Makes a table of (cos, sin) of `position * theta^(-2 i / headDim)` (Su et al. 2021, RoFormer, eq.
 * 34). It is made on the CPU, because WGSL's functions need only be accurate to 2^-11.
 * @returns `[positions, headDim / 2, 2]`
 */
export function rotationTable(
  positions: number,
  headDim: number,
  theta: number,
): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(positions * half * 2);
  for (let i = 0; i < half; i++) {
    // The published code computes the frequencies in f32, which decides how angles are rounded.
    const frequency = Math.fround(1 / Math.fround(Math.pow(theta, Math.fround((2 * i) / headDim))));
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      table[(position * half + i) * 2] = Math.cos(angle);
      table[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}

/** Tensors that the projection reads and writes. */
export interface QkvTensors extends KeysAndValues {
  /** `[rows, paddedInner]` */
  readonly x: Tensor;
  /** `[keys]`, and the rows that {@linkcode QkvRows.keyRows} points to. */
  readonly rowPosition: Tensor;
  /** See {@linkcode rotationTable}. */
  readonly rotation: Tensor;
  readonly q: Tensor;
}

/** Rows to project: q is written from row `firstQuery` on, k and v from row `firstKey` on. */
export interface QkvRows {
  readonly rows: number;
  readonly firstQuery: number;
  /** The row's position is `rowPosition[firstKey]`, and so on. */
  readonly firstKey: number;
  /**
   * Row i is written to row `rowPosition[keyRows + i]` of k and v, not to row `firstKey + i`. No two rows
   * may go to the same one.
   */
  readonly keyRows?: number;
}

/** Parameters of one part's dispatch. */
export function qkvParams(
  weights: WeightMatrix,
  part: WeightPart,
  shape: HeadShape,
  { rows, firstQuery, firstKey, keyRows = 0 }: QkvRows,
): Record<keyof typeof qkvKernel.params, number> {
  return {
    rows,
    columns: part.columns,
    blocks: weights.blocks,
    first_pair: part.firstColumn,
    first_query: firstQuery,
    first_key: firstKey,
    heads: shape.heads,
    kv_heads: shape.kvHeads,
    head_dim: shape.headDim,
    head_stride: shape.headStride,
    key_rows: keyRows,
  };
}

/** Cost of one part's dispatch; keys and values are written in their element type. */
export function qkvCost(
  weights: WeightMatrix,
  part: WeightPart,
  { heads, headDim }: HeadShape,
  rows: number,
  element: Element,
): Cost {
  const end = part.firstColumn + part.columns;
  const queries = Math.max(0, Math.min(end, heads * headDim / 2) - part.firstColumn);
  const words = queries + (part.columns - queries) * elementBytes(element) / 4;
  return productCost(part, weights, rows, 2 * part.columns, 2 * rows * words);
}

/**
 * Records the projection of some rows, over all parts of the matrix.
 * @param weights pairs of channels; a part holds the first channels of its pairs, then the second
 */
export function qkv(
  recorder: Recorder,
  tensors: QkvTensors,
  weights: WeightMatrix,
  shape: HeadShape,
  options: QkvRows,
): void {
  const { x, rowPosition, rotation, q, k, v, element = "f32" } = tensors;
  const { rowForm: form } = recorder.gpu;
  const tiles = followed("qkv", weights.tiles ?? DEFAULT_TILES, form);
  const by = { form, splitsBy: splitsBy("qkv", form) };
  const listed = options.keyRows === undefined ? 0 : 1;
  for (const part of weights.parts) {
    const { constants, workgroups } = tiled(tiles, options.rows, 2 * part.columns, by);
    recorder.dispatch(qkvKernel, {
      bindings: { x, row_position: rowPosition, rotation, q, k, v },
      params: qkvParams(weights, part, shape, options),
      constants: { ...constants, LISTED: listed },
      weights: part.binding,
      element,
      cost: qkvCost(weights, part, shape, options.rows, element),
      workgroups,
    });
  }
}
