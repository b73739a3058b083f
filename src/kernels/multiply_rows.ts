/** Products of matrices in f32, as training has them. */

import source from "../../shaders/multiply_rows.wgsl" with { type: "text" };
import storeUnits from "../../shaders/lib/store_units.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { fitsScratch, type Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { fitsTexels } from "../gpu/texels.ts";
import { paddedInner } from "../quant/scheme.ts";
import { addSplits } from "./add_splits.ts";
import { multiplyTexelsKernel, TEXELS_FORM } from "./multiply_texels.ts";
import { type ProductForm, productTiling, ROW_PRODUCT_PARAMS } from "./row_product.ts";
import { transpose } from "./transpose.ts";

/** shaders/multiply_rows.wgsl */
export const multiplyRowsKernel = defineKernel({
  name: "multiply_rows",
  source,
  snippets: [storeUnits],
  bindings: { a: "read", b: "read", c: "write" },
  params: ROW_PRODUCT_PARAMS,
  constants: { A_TRANSPOSED: 0 },
});

/** Two workgroups for each SIMD of a large GPU. */
const ROWS_FORM: ProductForm = { laneUnits: 1, lanes: [32], workgroups: 512 };

/**
 * Scratch memory of products: for a transposed copy of the second factor, for the sums of parts of a
 * long inner size, and for the texels that a software adapter reads; without these it is slow.
 */
export type ProductScratch = Pick<Scratch, "get"> & Partial<Pick<Scratch, "texels">>;

/**
 * Records `c = a b`, or `c += a b`. Rows lie `paddedInner` of their length apart, with zeros in the
 * padding, which `c` gets as well. Only the rows of `c` that are asked for are written. Sums run in an
 * order that depends on the sizes and the device's form only.
 * @param a `[rows, inner]`, or `[inner, rows]` where `aTransposed`
 * @param b `[inner, columns]`, or `[columns, inner]` where `bTransposed`
 * @param c `[rows, columns]`
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
    readonly scratch: ProductScratch;
  },
): void {
  const { rows, inner, columns, aTransposed, bTransposed, add, scratch } = options;
  const { gpu } = recorder;
  const stride = paddedInner(columns);
  const units = stride / 4;
  const aUnits = (aTransposed ? inner * paddedInner(rows) : rows * paddedInner(inner)) / 4;
  const bUnits = bTransposed ? columns * paddedInner(inner) / 4 : inner * units;
  const fits = gpu.rowForm === "exchanged" && fitsTexels(gpu, Math.max(aUnits, bUnits));
  const texels = fits && scratch.texels
    ? { a: scratch.texels("first factor", aUnits), b: scratch.texels("second factor", bUnits) }
    : undefined;
  let factor = b;
  if (bTransposed && !texels) {
    factor = scratch.get("transposed factor", paddedInner(inner) * stride);
    transpose(recorder, b, factor, { rows: columns, columns: inner });
  }
  const shape = { rows, inner, units };
  const { lanes, tiles, part, parts } = productTiling(texels ? TEXELS_FORM : ROWS_FORM, shape);
  const apart = parts > 1 && fitsScratch(gpu, parts * rows * stride);
  const sums = apart ? scratch.get("sums of parts", parts * rows * stride) : undefined;
  const call = {
    params: {
      rows,
      columns,
      column_units: units,
      inner,
      a_stride: paddedInner(aTransposed ? rows : inner) / 4,
      b_stride: bTransposed && texels ? paddedInner(inner) / 4 : units,
      c_stride: units,
      part: sums ? part : paddedInner(inner),
      part_stride: rows * units,
      add: add && !sums ? 1 : 0,
    },
    cost: {
      operations: 2 * rows * inner * columns,
      bytes: 4 * (rows * inner + inner * columns + (sums ? parts : add ? 2 : 1) * rows * columns),
    },
    workgroups: [...tiles, sums ? parts : 1] as const,
  };
  const constants = { A_TRANSPOSED: aTransposed ? 1 : 0 };
  if (texels) {
    recorder.copyTexels(a, texels.a, aUnits);
    recorder.copyTexels(b, texels.b, bUnits);
    recorder.dispatch(multiplyTexelsKernel, {
      ...call,
      bindings: { ...texels, c: sums ?? c },
      constants: { ...constants, B_TRANSPOSED: bTransposed ? 1 : 0, LANES: lanes },
    });
  } else {
    recorder.dispatch(multiplyRowsKernel, {
      ...call,
      bindings: { a, b: factor, c: sums ?? c },
      constants,
    });
  }
  if (sums) {
    const place = { splits: parts, rows, columns: stride, stride, firstColumn: 0, add };
    addSplits(recorder, sums, c, place);
  }
}
