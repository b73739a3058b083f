/** Products of matrices in f32, as training has them. */

import source from "../../shaders/multiply_rows.wgsl" with { type: "text" };
import stripsExchanged from "../../shaders/lib/strips_exchanged.wgsl" with { type: "text" };
import stripsUniform from "../../shaders/lib/strips_uniform.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedInner } from "../quant/scheme.ts";
import { transpose } from "./transpose.ts";

/** shaders/multiply_rows.wgsl */
export const multiplyRowsKernel = defineKernel({
  name: "multiply_rows",
  source,
  bindings: { a: "read", b: "read", c: "write" },
  params: {
    rows: "u32",
    column_units: "u32",
    inner: "u32",
    a_stride: "u32",
    b_stride: "u32",
    c_stride: "u32",
    part: "u32",
    part_stride: "u32",
  },
  constants: { ADD: 0, A_TRANSPOSED: 0 },
  rows: { exchanged: stripsExchanged, uniform: stripsUniform },
});

/** Rows, and units of four columns, that a workgroup makes. */
const [TILE_ROWS, TILE_UNITS] = [32, 32];

/**
 * Records `c = a b`, or `c += a b`. Rows lie `paddedInner` of their length apart, with zeros in the
 * padding, which `c` gets as well. Only the rows of `c` that are asked for are written.
 * @param a `[rows, inner]`, or `[inner, rows]` where `aTransposed`
 * @param b `[inner, columns]`, or `[columns, inner]` where `bTransposed`
 * @param c `[rows, columns]`
 * @param options.scratch memory for a transposed copy of `b`
 */
export function multiply(
  recorder: Recorder,
  a: Tensor,
  b: Tensor,
  c: Tensor,
  options: {
    readonly rows: number;
    readonly inner: number;
    readonly columns: number;
    readonly aTransposed?: boolean;
    readonly bTransposed?: boolean;
    /** Whether the product joins what `c` holds. */
    readonly add?: boolean;
    readonly scratch: Pick<Scratch, "get">;
  },
): void {
  const { rows, inner, columns, aTransposed, bTransposed, add, scratch } = options;
  const stride = paddedInner(columns);
  let factor = b;
  if (bTransposed) {
    factor = scratch.get("transposed factor", paddedInner(inner) * stride);
    transpose(recorder, b, factor, { rows: columns, columns: inner });
  }
  recorder.dispatch(multiplyRowsKernel, {
    bindings: { a, b: factor, c },
    params: {
      rows,
      column_units: stride / 4,
      inner,
      a_stride: paddedInner(aTransposed ? rows : inner) / 4,
      b_stride: stride / 4,
      c_stride: stride / 4,
      part: paddedInner(inner),
      part_stride: 0,
    },
    constants: { ADD: add ? 1 : 0, A_TRANSPOSED: aTransposed ? 1 : 0 },
    cost: {
      operations: 2 * rows * inner * columns,
      bytes: 4 * (rows * inner + inner * columns + (add ? 2 : 1) * rows * columns),
    },
    workgroups: [Math.ceil(stride / 4 / TILE_UNITS), Math.ceil(rows / TILE_ROWS)],
  });
}
