/** The first half of attention's backward pass: the gradient by queries. */

import source from "../../shaders/attention_backward_queries.wgsl" with { type: "text" };
import ownUnits from "../../shaders/lib/own_units.wgsl" with { type: "text" };
import rowsExchanged from "../../shaders/lib/rows_exchanged.wgsl" with { type: "text" };
import rowsUniform from "../../shaders/lib/rows_uniform.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { RowForm } from "../gpu/row_form.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { AttentionWork, HeadShape } from "./attention.ts";

/** shaders/attention_backward_queries.wgsl */
export const attentionBackwardQueriesKernel = defineKernel({
  name: "attention_backward_queries",
  source,
  snippets: [ownUnits],
  bindings: {
    q: "read",
    k: "read",
    v: "read",
    y: "read",
    d_y: "read",
    sequences: "read",
    facts: "write",
    d_q: "write",
  },
  params: {
    heads: "u32",
    kv_heads: "u32",
    units: "u32",
    row_step: "u32",
    head_step: "u32",
    unit_step: "u32",
    scale: "f32",
  },
  constants: { UNITS: 32, LANES: 32, HELD: 0 },
  usesElement: true,
  rows: { exchanged: rowsExchanged, uniform: rowsUniform },
});

/**
 * How a device's lanes take rows of so many units. A software adapter runs eight lanes at a time, so that
 * more in a workgroup only make work of rows that are not there; it keeps all of a lane's numbers. A lane of
 * a GPU has registers for its sums only.
 */
export function ownRows(
  units: number,
  form: RowForm,
): { readonly UNITS: number; readonly LANES: number; readonly HELD: number } {
  return form === "exchanged"
    ? { UNITS: units, LANES: 8, HELD: 1 }
    : { UNITS: units, LANES: 32, HELD: 0 };
}

/** Where a lane's own rows lie: beside each other, or turned (see turnUnits) where there are `turnedRows`. */
export function ownSteps(
  heads: number,
  units: number,
  turnedRows: number | undefined,
): { readonly row_step: number; readonly head_step: number; readonly unit_step: number } {
  return turnedRows === undefined
    ? { row_step: heads * units, head_step: units, unit_step: 1 }
    : { row_step: 1, head_step: units * turnedRows, unit_step: turnedRows };
}

/** What both halves of attention's backward pass read. */
export interface AttentionBackwardInputs {
  /** `[queries, heads, headStride]`, as `dY`. */
  readonly q: Tensor;
  /** `[keys, kvHeads, headStride]` */
  readonly k: Tensor;
  /** `[keys, kvHeads, headStride]` */
  readonly v: Tensor;
  readonly dY: Tensor;
  /** `[count]` of (first query, queries, first key, keys). */
  readonly ranges: Tensor;
}

/**
 * Records the gradient of attention by its queries, and the facts that the other half needs.
 * @param tensors.y `[queries, heads, headStride]`: what attention made
 * @param tensors.facts `[queries, heads, 2]`, written: the logarithm of the sum of a query's exponentials, and
 * its `dY . y`
 * @param tensors.dQ `[queries, heads, headStride]`, written
 * @param options.turnedRows rows of `q` and `dY`, if they are turned
 */
export function attentionBackwardQueries(
  recorder: Recorder,
  { dY, dQ, ranges, ...bindings }: AttentionBackwardInputs & {
    readonly y: Tensor;
    readonly facts: Tensor;
    readonly dQ: Tensor;
  },
  { heads, kvHeads, headDim, headStride }: HeadShape,
  work: AttentionWork,
  { turnedRows }: { readonly turnedRows?: number } = {},
): void {
  const own = ownRows(headStride / 4, recorder.gpu.rowForm);
  recorder.dispatch(attentionBackwardQueriesKernel, {
    bindings: { ...bindings, d_y: dY, sequences: ranges, d_q: dQ },
    params: {
      heads,
      kv_heads: kvHeads,
      units: own.UNITS,
      ...ownSteps(heads, own.UNITS, turnedRows),
      scale: 1 / Math.sqrt(headDim),
    },
    constants: own,
    // Operations: scores, d_y . v and weighted sums of keys.
    cost: {
      operations: 6 * work.pairs * heads * headDim,
      bytes: 4 * headDim * (4 * work.queries * heads + 2 * work.keys * kvHeads),
    },
    workgroups: [Math.ceil(work.longest / own.LANES), heads, work.count],
  });
}
