/** A linear layer in training: its product, and the gradients of its weights and of its input. */

import type { Tensor } from "../../gpu/tensor.ts";
import { multiply } from "../../kernels/multiply_rows.ts";
import { packedBackward, packedForward, type PackedMatrix } from "./packed_matrix.ts";
import type { Parameter } from "./parameters.ts";
import type { ProductRows, ProductSpace } from "./product_space.ts";

/** A low-rank addition to a matrix: `y += scale (x A^T) B^T` (Hu et al. 2021, LoRA, eq. 3). */
export interface Adapter {
  /** `[rank, in]` */
  readonly a: Parameter;
  /** `[out, rank]` */
  readonly b: Parameter;
  /** `[rank, rank]`: the scale times the identity, so that a product also scales. */
  readonly scale: Tensor;
}

/** A matrix, and its adapter if it has one. */
export interface LinearModule {
  readonly weight: Parameter | PackedMatrix;
  readonly adapter?: Adapter;
}

/**
 * Records `y = x W^T`, or `y += x W^T`.
 * @param x `[rows, in]`, padded
 * @param y `[rows, out]`, padded
 */
export function linearForward(
  space: ProductSpace,
  { weight, adapter }: LinearModule,
  x: Tensor,
  y: Tensor,
  { rows, add }: ProductRows,
): void {
  const { recorder, scratch } = space;
  const { rows: columns, columns: inner } = weight.layout;
  const shared = { rows, scratch, bTransposed: true };
  if ("matrix" in weight) packedForward(space, weight, x, y, { rows, add });
  else multiply(recorder, x, weight.weight, y, { ...shared, inner, columns, add });
  if (!adapter) return;
  const low = lowRank(space, adapter, x, rows);
  const rank = adapter.a.layout.rows;
  multiply(recorder, low, adapter.b.weight, y, { ...shared, inner: rank, columns, add: true });
}

/** `scale (x A^T)` in scratch memory, `[rows, rank]` */
function lowRank(
  { recorder, scratch }: ProductSpace,
  { a, scale }: Adapter,
  x: Tensor,
  rows: number,
): Tensor {
  const { rows: rank, columns: inner } = a.layout;
  const plain = scratch.get(`rank ${rank}`, rows * rank);
  const scaled = scratch.get(`scaled rank ${rank}`, rows * rank);
  multiply(recorder, x, a.weight, plain, {
    rows,
    inner,
    columns: rank,
    bTransposed: true,
    scratch,
  });
  multiply(recorder, plain, scale, scaled, { rows, inner: rank, columns: rank, scratch });
  return scaled;
}

/**
 * Records the gradients behind {@linkcode linearForward}: those of the weights join what they hold,
 * where these are trained.
 * @param tensors.dX gradient of `x`, written, or added to with `options.add`; absent where nothing
 * reads it
 */
export function linearBackward(
  space: ProductSpace,
  { weight, adapter }: LinearModule,
  { x, dY, dX }: { readonly x: Tensor; readonly dY: Tensor; readonly dX?: Tensor },
  { rows, add }: ProductRows,
): void {
  const { recorder, scratch } = space;
  const { rows: out, columns: inner } = weight.layout;
  if ("matrix" in weight) {
    if (dX) packedBackward(space, weight, dY, dX, { rows, add });
  } else {
    if (weight.gradient) addWeightGradient(space, weight.gradient, dY, x, { rows, out, inner });
    const shape = { rows, inner: out, columns: inner, add, scratch };
    if (dX) multiply(recorder, dY, weight.weight, dX, shape);
  }
  if (!adapter) return;
  const { a, b, scale } = adapter;
  const rank = a.layout.rows;
  if (b.gradient) {
    const low = lowRank(space, adapter, x, rows);
    addWeightGradient(space, b.gradient, dY, low, { rows, out, inner: rank });
  }
  const plain = scratch.get(`rank ${rank}`, rows * rank);
  const scaled = scratch.get(`scaled rank ${rank}`, rows * rank);
  const { weight: bWeight } = b;
  multiply(recorder, dY, bWeight, plain, { rows, inner: out, columns: rank, scratch });
  multiply(recorder, plain, scale, scaled, { rows, inner: rank, columns: rank, scratch });
  if (a.gradient) addWeightGradient(space, a.gradient, scaled, x, { rows, out: rank, inner });
  if (dX) {
    multiply(recorder, scaled, a.weight, dX, {
      rows,
      inner: rank,
      columns: inner,
      add: true,
      scratch,
    });
  }
}

/** Records `gradient += dY^T x`. `[out, inner]` */
function addWeightGradient(
  { recorder, scratch }: ProductSpace,
  gradient: Tensor,
  dY: Tensor,
  x: Tensor,
  { rows, out, inner }: { readonly rows: number; readonly out: number; readonly inner: number },
): void {
  multiply(recorder, dY, x, gradient, {
    rows: out,
    inner: rows,
    columns: inner,
    aTransposed: true,
    add: true,
    scratch,
  });
}
