/** Products of matrices in f32, as training has them. */

import source from "../../shaders/multiply_rows.wgsl" with { type: "text" };
import stripsExchanged from "../../shaders/lib/strips_exchanged.wgsl" with { type: "text" };
import stripsUniform from "../../shaders/lib/strips_uniform.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { RowForm } from "../gpu/row_form.ts";
import { fitsScratch, type Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedInner } from "../quant/scheme.ts";
import { addSplits } from "./add_splits.ts";
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
    add: "u32",
  },
  constants: { A_TRANSPOSED: 0, LANES: 32 },
  rows: { exchanged: stripsExchanged, uniform: stripsUniform },
});

/** Rows that a workgroup makes. */
const TILE_ROWS = 32;
/** Units of four columns that a lane makes, as in the form's snippet. */
const LANE_UNITS: Readonly<Record<RowForm, number>> = { exchanged: 2, uniform: 1 };
/** Workgroups that are wanted: several for each core of a host, two for each of a large GPU's SIMDs. */
const WANTED_WORKGROUPS: Readonly<Record<RowForm, number>> = { exchanged: 16, uniform: 512 };
/** Least inner size of a part: below it, adding parts up costs more than idle cores. */
const LEAST_PART = 256;

/** How a product is shared out; it depends on its sizes only, so that a run can be repeated. */
interface Tiling {
  /** Lanes of a workgroup. */
  readonly lanes: number;
  /** Workgroups across columns, and down rows. */
  readonly tiles: readonly [number, number];
  /** Inner size of a part, a multiple of 8. */
  readonly part: number;
  readonly parts: number;
}

function tilingOf(form: RowForm, rows: number, inner: number, units: number): Tiling {
  const each = LANE_UNITS[form];
  // Subgroups of a host have eight lanes; those of a GPU would be left half empty.
  const lanes = form === "uniform" || units > 16 * each ? 32 : 16;
  const tiles = [Math.ceil(units / (lanes * each)), Math.ceil(rows / TILE_ROWS)] as const;
  const wanted = Math.ceil(WANTED_WORKGROUPS[form] / (tiles[0] * tiles[1]));
  const part = Math.max(LEAST_PART, paddedInner(Math.ceil(inner / wanted)));
  return { lanes, tiles, part, parts: Math.ceil(inner / part) };
}

/**
 * Records `c = a b`, or `c += a b`. Rows lie `paddedInner` of their length apart, with zeros in the
 * padding, which `c` gets as well. Only the rows of `c` that are asked for are written.
 * @param a `[rows, inner]`, or `[inner, rows]` where `aTransposed`
 * @param b `[inner, columns]`, or `[columns, inner]` where `bTransposed`
 * @param c `[rows, columns]`
 * @param options.scratch memory for a transposed copy of `b`, and for the sums of parts of a long inner
 * size, which are added up in order
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
  const { gpu } = recorder;
  const stride = paddedInner(columns);
  let factor = b;
  if (bTransposed) {
    factor = scratch.get("transposed factor", paddedInner(inner) * stride);
    transpose(recorder, b, factor, { rows: columns, columns: inner });
  }
  const { lanes, tiles, part, parts } = tilingOf(gpu.rowForm, rows, inner, stride / 4);
  const apart = parts > 1 && fitsScratch(gpu, parts * rows * stride);
  const sums = apart ? scratch.get("sums of parts", parts * rows * stride) : undefined;
  recorder.dispatch(multiplyRowsKernel, {
    bindings: { a, b: factor, c: sums ?? c },
    params: {
      rows,
      column_units: stride / 4,
      inner,
      a_stride: paddedInner(aTransposed ? rows : inner) / 4,
      b_stride: stride / 4,
      c_stride: stride / 4,
      part: sums ? part : paddedInner(inner),
      part_stride: rows * stride / 4,
      add: add && !sums ? 1 : 0,
    },
    constants: { A_TRANSPOSED: aTransposed ? 1 : 0, LANES: lanes },
    cost: {
      operations: 2 * rows * inner * columns,
      bytes: 4 * (rows * inner + inner * columns + (sums ? parts : add ? 2 : 1) * rows * columns),
    },
    workgroups: [...tiles, sums ? parts : 1],
  });
  if (sums) {
    const place = { splits: parts, rows, columns: stride, stride, firstColumn: 0, add };
    addSplits(recorder, sums, c, place);
  }
}
