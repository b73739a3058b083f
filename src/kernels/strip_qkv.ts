/** Queries, keys and values of a layer in strips, on a software adapter. */

import source from "../../shaders/strip_qkv.wgsl" with { type: "text" };
import multiplyStrip from "../../shaders/lib/multiply_strip.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { HeadShape } from "./attention.ts";
import { qkvCost, qkvKernel, qkvParams, type QkvRows, type QkvTensors } from "./qkv.ts";
import { STRIP_CONSTANTS, strips } from "./strips.ts";
import type { WeightMatrix } from "./weight_matrix.ts";

/** shaders/strip_qkv.wgsl */
export const stripQkvKernel = defineKernel({
  name: "strip_qkv",
  source,
  snippets: [multiplyStrip],
  bindings: qkvKernel.bindings,
  params: qkvKernel.params,
  constants: { ...STRIP_CONSTANTS, LISTED: 0 },
  readsWeights: true,
  multipliesRows: "strips",
  usesElement: true,
});

/**
 * Records the projection of some rows, like `qkv` of qkv.ts, for a matrix that `runsInStrips` and heads of
 * which a half is whole fours.
 * @param tensors with a rotation table whose rows are whole fours
 */
export function stripQkv(
  recorder: Recorder,
  tensors: QkvTensors,
  weights: WeightMatrix,
  shape: HeadShape,
  options: QkvRows,
): void {
  const { x, rowPosition, rotation, q, k, v, element = "f32" } = tensors;
  for (const part of weights.parts) {
    const { constants, workgroups } = strips(options.rows, 2 * part.columns);
    recorder.dispatch(stripQkvKernel, {
      bindings: { x, row_position: rowPosition, rotation, q, k, v },
      params: qkvParams(weights, part, shape, options),
      constants: { ...constants, LISTED: options.keyRows === undefined ? 0 : 1 },
      weights: part.binding,
      element,
      cost: qkvCost(weights, part, shape, options.rows, element),
      workgroups,
    });
  }
}
