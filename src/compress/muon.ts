/** Muon: steps of matrices whose gradients are made almost orthogonal (Jordan 2024, muon.py). */

import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { combine } from "../kernels/combine.ts";
import { NORM_WORDS } from "../kernels/finish_norm.ts";
import { multiply, type ProductScratch } from "../kernels/multiply_rows.ts";
import { sumSquares } from "../kernels/sum_squares.ts";

/** Of a x + b x^3 + c x^5, which five times over brings singular values from 0.01 to 1 near 1. */
const [A, B, C] = [3.4445, -4.775, 2.0315];
const ITERATIONS = 5;

/** What a Muon step depends on. */
export interface MuonOptions {
  readonly rate: number;
  /** Share of a weight that `rate` 1 would take away, apart from the gradient. */
  readonly decay: number;
  /** Share of the momentum that stays; default 0.95. */
  readonly kept?: number;
}

/** A matrix as it lies in memory, and how much of it is in use. */
export interface MuonShape {
  /** Rows and columns in memory, multiples of 8; what is not in use is 0, and stays so. */
  readonly stored: { readonly rows: number; readonly columns: number };
  /** Rows and columns in use: outputs and inputs. */
  readonly rows: number;
  readonly columns: number;
}

/**
 * Records a step of one matrix: with g = norm[2] gradient, k = `kept`,
 *
 *     m = k m + (1 - k) g
 *     X = k m + (1 - k) g, which looks ahead (Nesterov), over its Frobenius norm
 *     five times: X = 3.4445 X + (-4.7750 S + 2.0315 S S) X, S = X X^T
 *     weight = (1 - rate decay) weight - rate sqrt(max(1, rows / columns)) X
 *
 * S is made of the shorter side. The singular values of X end between some 0.5 and 1.5, on purpose.
 * @param tensors.weight, gradient, momentum `[stored rows, stored columns]`
 * @param tensors.norm `[4]` of all gradients, as `sumSquares` leaves it: its clip factor is taken
 * @param options.clear whether the gradient becomes 0, for the next step to add to
 * @param options.scratch for X, what it is multiplied with, and products
 */
export function muon(
  recorder: Recorder,
  tensors: {
    readonly weight: Tensor;
    readonly gradient: Tensor;
    readonly momentum: Tensor;
    readonly norm: Tensor;
  },
  shape: MuonShape,
  options: MuonOptions & {
    readonly clear?: boolean;
    readonly scratch: ProductScratch;
  },
): void {
  const { weight, gradient, momentum, norm } = tensors;
  const { rate, decay, kept = 0.95, clear = false, scratch } = options;
  const { rows, columns } = shape.stored;
  const elements = rows * columns;
  const update = scratch.get("muon update", elements);
  const joins = {
    elements,
    own: kept,
    other: 1 - kept,
    times: { of: "other", factor: "clip", norm },
  } as const;
  combine(recorder, momentum, gradient, joins);
  recorder.copy(momentum, update, 4 * elements);
  combine(recorder, update, gradient, joins);
  const length = scratch.get("muon norm", NORM_WORDS);
  sumSquares(recorder, [{ tensor: update, elements }], length, { scratch });
  combine(recorder, update, momentum, {
    elements,
    own: 1,
    other: 0,
    times: { of: "own", factor: "unit", norm: length },
  });
  orthogonalise(recorder, update, { rows, columns, scratch });
  const scale = Math.sqrt(Math.max(1, shape.rows / shape.columns));
  combine(recorder, weight, update, { elements, own: 1 - rate * decay, other: -rate * scale });
  if (clear) combine(recorder, gradient, update, { elements, own: 0, other: 0 });
}

/** Records the five iterations on a matrix of Frobenius norm 1, in place. */
function orthogonalise(
  recorder: Recorder,
  x: Tensor,
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly scratch: ProductScratch;
  },
): void {
  const { rows, columns, scratch } = options;
  const isTall = rows > columns;
  const side = Math.min(rows, columns);
  const elements = rows * columns;
  const square = scratch.get("muon square", side * side);
  const fourth = scratch.get("muon fourth", side * side);
  const product = scratch.get("muon product", elements);
  const sides = { rows: side, columns: side, scratch };
  for (let i = 0; i < ITERATIONS; i++) {
    if (isTall) multiply(recorder, x, x, square, { ...sides, inner: rows, aTransposed: true });
    else multiply(recorder, x, x, square, { ...sides, inner: columns, bTransposed: true });
    multiply(recorder, square, square, fourth, { ...sides, inner: side });
    combine(recorder, fourth, square, { elements: side * side, own: C, other: B });
    const [left, right] = isTall ? [x, fourth] : [fourth, x];
    multiply(recorder, left, right, product, { rows, columns, inner: side, scratch });
    combine(recorder, x, product, { elements, own: A, other: 1 });
  }
}
