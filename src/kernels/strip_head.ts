/** The language-model head with its reduction, in strips, on a software adapter. */

import source from "../../shaders/strip_head.wgsl" with { type: "text" };
import candidate from "../../shaders/lib/candidate.wgsl" with { type: "text" };
import eightLogits from "../../shaders/lib/eight_logits.wgsl" with { type: "text" };
import multiplyStrip from "../../shaders/lib/multiply_strip.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import stepPlan from "../../shaders/lib/step_plan.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { type HeadOptions, type HeadTensors, headTiles } from "./head.ts";
import { STRIP_CONSTANTS, strips } from "./strips.ts";
import { productCost, type WeightMatrix } from "./weight_matrix.ts";

/** shaders/strip_head.wgsl */
export const stripHeadKernel = defineKernel({
  name: "strip_head",
  source,
  snippets: [multiplyStrip, eightLogits, noise, candidate, stepPlan],
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
  constants: { ...STRIP_CONSTANTS, GUIDED: 0, MEASURED: 0, NOISE: 1 },
  readsWeights: true,
  multipliesRows: "strips",
});

/** Records what `head` does, for a matrix that, unsplit, `runsInStrips`. */
export function stripHead(
  recorder: Recorder,
  tensors: HeadTensors,
  weights: WeightMatrix,
  { entries, planOffset, measured, noisy, guidance }: HeadOptions,
): void {
  const guided = guidance !== undefined;
  const rows = entries * (guided ? 2 : 1);
  const tiles = headTiles(weights);
  let firstTile = 0;
  for (const part of weights.parts) {
    const { constants, workgroups } = strips(rows, part.columns);
    recorder.dispatch(stripHeadKernel, {
      bindings: tensors,
      params: {
        entries,
        columns: part.columns,
        blocks: weights.blocks,
        first_token: part.firstColumn,
        first_tile: firstTile,
        tiles,
        plan_offset: planOffset,
        guidance: guidance ?? 0,
      },
      constants: {
        ...constants,
        GUIDED: guided ? 1 : 0,
        MEASURED: measured ? 1 : 0,
        NOISE: noisy ? 1 : 0,
      },
      weights: part.binding,
      cost: productCost(part, weights, rows, part.columns, 0),
      workgroups,
    });
    firstTile += workgroups[1];
  }
}
