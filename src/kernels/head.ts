/**
 * The language-model head with its reduction: turns hidden rows into a candidate per vocabulary
 * tile.
 */

import source from "../../shaders/head.wgsl" with { type: "text" };
import candidate from "../../shaders/lib/candidate.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import tile from "../../shaders/lib/tile.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import {
  productCost,
  TILE_COLUMNS,
  TILE_CONSTANTS,
  tiled,
  type TilePlan,
  type WeightMatrix,
} from "./weight_matrix.ts";

/** shaders/head.wgsl */
export const headKernel = defineKernel({
  name: "head",
  source,
  snippets: [tile, noise, candidate, stepPlan],
  bindings: { x: "read", asked: "read", plans: "read", candidates: "write" },
  params: {
    entries: "u32",
    columns: "u32",
    blocks: "u32",
    first_token: "u32",
    first_tile: "u32",
    tiles: "u32",
    plan_offset: "u32",
    guidance: "f32",
  },
  constants: { ...TILE_CONSTANTS, GUIDED: 0, MEASURED: 0, CANDIDATES: 128 },
  readsWeights: true,
  multipliesRows: "tiles",
});

/** Tiles of the head. A workgroup reduces 16 rows; there is no room for more where it keeps all at once. */
const HEAD_TILES: TilePlan = { splits: 1, rowGroups: 2 };

/** The matrix in the tiles that give matmul's logits the bits of those that {@linkcode head} reduces. */
export function unsplit(weights: WeightMatrix): WeightMatrix {
  return { ...weights, tiles: { ...weights.tiles ?? HEAD_TILES, splits: 1 } };
}

/** Lanes of a workgroup, each with a candidate of every row. */
const LANES = 32;
/** Words of 4 bytes in a candidate. */
export const CANDIDATE_WORDS = 7;

/** Number of candidates per row: the vocabulary's tiles, over all parts. */
export function headTiles(weights: WeightMatrix): number {
  return weights.parts.reduce((sum, part) => sum + Math.ceil(part.columns / TILE_COLUMNS), 0);
}

/** What the head reads and writes. */
export interface HeadTensors {
  /** `[entries, paddedInner]`, or `[2 entries, paddedInner]` when guided */
  readonly x: Tensor;
  /** `[entries]`, see shaders/lib/step_plan.wgsl */
  readonly asked: Tensor;
  /** One plan per sequence, from `planOffset` on. */
  readonly plans: Tensor;
  /** `[entries, headTiles(weights)]` */
  readonly candidates: Tensor;
}

/** What is asked of the head. */
export interface HeadOptions {
  readonly entries: number;
  readonly planOffset: number;
  /** Whether a plan uses another measure than `probability`. */
  readonly measured: boolean;
  /** Whether a plan has a temperature. */
  readonly noisy: boolean;
  /** `cfg_scale + 1`, or undefined without guidance. */
  readonly guidance: number | undefined;
}

/** Records the reduction of the asked rows over the whole vocabulary. */
export function head(
  recorder: Recorder,
  tensors: HeadTensors,
  weights: WeightMatrix,
  options: Omit<HeadOptions, "noisy">,
): void {
  const guided = options.guidance !== undefined;
  const rows = options.entries * (guided ? 2 : 1);
  const tiles = headTiles(weights);
  const { rowForm } = recorder.gpu;
  const by = { form: rowForm, splitsBy: "lanes" } as const;
  // A software adapter has no use for more workgroups at once, and pays for every barrier.
  const candidates = rowForm === "uniform" ? 4 * LANES : 16 * LANES;
  let firstTile = 0;
  for (const part of weights.parts) {
    const { constants, workgroups } = tiled(HEAD_TILES, rows, part.columns, by);
    recorder.dispatch(headKernel, {
      bindings: tensors,
      params: {
        entries: options.entries,
        columns: part.columns,
        blocks: weights.blocks,
        first_token: part.firstColumn,
        first_tile: firstTile,
        tiles,
        plan_offset: options.planOffset,
        guidance: options.guidance ?? 0,
      },
      constants: {
        ...constants,
        GUIDED: guided ? 1 : 0,
        MEASURED: options.measured ? 1 : 0,
        CANDIDATES: candidates,
      },
      weights: part.binding,
      cost: productCost(part, weights, rows, part.columns, 0),
      workgroups,
    });
    firstTile += Math.ceil(part.columns / TILE_COLUMNS);
  }
}
