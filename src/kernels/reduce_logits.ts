/** Reduces logits in memory to candidates, as the head does with those that it computes. */

import source from "../../shaders/reduce_logits.wgsl" with { type: "text" };
import candidate from "../../shaders/lib/candidate.wgsl" with { type: "text" };
import eightLogits from "../../shaders/lib/eight_logits.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { CANDIDATE_WORDS, headTiles, unsplit } from "./head.ts";
import { runsInStrips } from "./strips.ts";
import { TILE_COLUMNS, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/reduce_logits.wgsl */
export const reduceLogitsKernel = defineKernel({
  name: "reduce_logits",
  source,
  snippets: [noise, candidate, eightLogits, stepPlan],
  bindings: {
    logits: "read",
    cutoffs: "read",
    asked: "read",
    plans: "read",
    candidates: "write",
  },
  params: {
    tokens: "u32",
    columns: "u32",
    first_token: "u32",
    first_tile: "u32",
    tiles: "u32",
    plan_offset: "u32",
  },
  constants: { MEASURED: 0, EIGHTS: 0, NOISE: 1 },
});

/**
 * Records the reduction of all rows, in the tiles of the head's parts.
 * @param tensors.logits `[entries, tokens]`
 * @param tensors.cutoffs `[entries]`, least logits that may be chosen
 * @param tensors.asked `[entries]`, see shaders/lib/step_plan.wgsl
 * @param tensors.plans one plan per sequence, from `planOffset` on
 * @param tensors.candidates `[entries, headTiles(head)]`
 */
export function reduceLogits(
  recorder: Recorder,
  tensors: {
    readonly logits: Tensor;
    readonly cutoffs: Tensor;
    readonly asked: Tensor;
    readonly plans: Tensor;
    readonly candidates: Tensor;
  },
  head: WeightMatrix,
  options: {
    readonly entries: number;
    readonly planOffset: number;
    /** As in `head`. */
    readonly measured: boolean;
  },
): void {
  const { entries, planOffset, measured } = options;
  let firstTile = 0;
  for (const { columns, firstColumn } of head.parts) {
    const tiles = Math.ceil(columns / TILE_COLUMNS);
    recorder.dispatch(reduceLogitsKernel, {
      bindings: tensors,
      params: {
        tokens: head.columns,
        columns,
        first_token: firstColumn,
        first_tile: firstTile,
        tiles: headTiles(head),
        plan_offset: planOffset,
      },
      constants: {
        MEASURED: measured ? 1 : 0,
        EIGHTS: runsInStrips(recorder.gpu, unsplit(head)) ? 1 : 0,
      },
      cost: {
        operations: 5 * entries * columns,
        bytes: 4 * entries * (columns + CANDIDATE_WORDS * tiles),
      },
      workgroups: [tiles, entries],
    });
    firstTile += tiles;
  }
}
