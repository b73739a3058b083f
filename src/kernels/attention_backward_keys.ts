/** The second half of attention's backward pass: the gradients by keys and values. */

import source from "../../shaders/attention_backward_keys.wgsl" with { type: "text" };
import ownUnits from "../../shaders/lib/own_units.wgsl" with { type: "text" };
import queriesExchanged from "../../shaders/lib/queries_exchanged.wgsl" with { type: "text" };
import queriesUniform from "../../shaders/lib/queries_uniform.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { AttentionWork, HeadShape } from "./attention.ts";
import { type AttentionBackwardInputs, ownRows, ownSteps } from "./attention_backward_queries.ts";

/** shaders/attention_backward_keys.wgsl */
export const attentionBackwardKeysKernel = defineKernel({
  name: "attention_backward_keys",
  source,
  snippets: [ownUnits],
  bindings: {
    q: "read",
    k: "read",
    v: "read",
    d_y: "read",
    sequences: "read",
    facts: "read",
    d_k: "write",
    d_v: "write",
  },
  params: {
    heads: "u32",
    kv_heads: "u32",
    row_step: "u32",
    head_step: "u32",
    unit_step: "u32",
    scale: "f32",
  },
  constants: { UNITS: 32, LANES: 32, HELD: 0, MAKES_K: 1, MAKES_V: 1 },
  rows: { exchanged: queriesExchanged, uniform: queriesUniform },
});

/** Units of a head from which a lane of a GPU has no registers for the sums of both gradients. */
const MOST_UNITS_TOGETHER = 16;

/**
 * Records the gradients of attention by its keys and values.
 * @param tensors.facts see attentionBackwardQueries
 * @param tensors.dK `[keys, kvHeads, headStride]`, written
 * @param tensors.dV `[keys, kvHeads, headStride]`, written
 * @param options.turnedRows rows of `k` and `v`, if they are turned
 * @param options.apart whether each gradient has a pass of its own (default: where registers are too few)
 */
export function attentionBackwardKeys(
  recorder: Recorder,
  { dY, dK, dV, ranges, ...bindings }: AttentionBackwardInputs & {
    readonly facts: Tensor;
    readonly dK: Tensor;
    readonly dV: Tensor;
  },
  { heads, kvHeads, headDim, headStride }: HeadShape,
  work: AttentionWork,
  options: { readonly apart?: boolean; readonly turnedRows?: number } = {},
): void {
  const own = ownRows(headStride / 4, recorder.gpu.rowForm);
  const apart = options.apart ?? (own.HELD === 0 && own.UNITS > MOST_UNITS_TOGETHER);
  const passes = apart
    ? [{ MAKES_K: 1, MAKES_V: 0 }, { MAKES_K: 0, MAKES_V: 1 }]
    : [{ MAKES_K: 1, MAKES_V: 1 }];
  for (const makes of passes) {
    recorder.dispatch(attentionBackwardKeysKernel, {
      bindings: { ...bindings, d_y: dY, sequences: ranges, d_k: dK, d_v: dV },
      params: {
        heads,
        kv_heads: kvHeads,
        ...ownSteps(kvHeads, own.UNITS, options.turnedRows),
        scale: 1 / Math.sqrt(headDim),
      },
      constants: { ...own, ...makes },
      // Operations: scores, d_y . v, and weighted sums of queries and of d_y.
      cost: {
        operations: 2 * (1 + 2 * makes.MAKES_K + makes.MAKES_V) * work.pairs * heads * headDim,
        bytes: 4 * headDim * (2 * work.queries * heads + 3 * work.keys * kvHeads),
      },
      workgroups: [Math.ceil(work.mostKeys / own.LANES), kvHeads, work.count],
    });
  }
}
