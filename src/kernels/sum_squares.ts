/** The length of a gradient, or of a matrix: the root of the sum of its squares. */

import source from "../../shaders/sum_squares.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { finishNorm } from "./finish_norm.ts";
import { rowLanes } from "./rms_norm.ts";

/** shaders/sum_squares.wgsl */
export const sumSquaresKernel = defineKernel({
  name: "sum_squares",
  source,
  bindings: { x: "read", sums: "write" },
  params: { elements: "u32", first_sum: "u32" },
  constants: { LANES: 32 },
});

/** Elements whose squares a workgroup adds up: 4 QUADS in the shader. */
const SUMMED = 16384;

/** A tensor's first elements, with zeros behind them up to a whole group of four. */
export interface Summand {
  readonly tensor: Tensor;
  readonly elements: number;
}

/**
 * Records the sum of all squares of the tensors, in an order that the device and the tensors' sizes
 * decide, and what is made of it. Nothing is read back: kernels take it from `norm`.
 * @param norm `[4]`, as {@linkcode finishNorm} leaves it: the sum, its root, a factor that clips to a
 * length of `most`, and one that scales to length 1
 * @param options.most longest gradient that is not clipped (default: none is)
 * @param options.scratch for the sums of parts
 */
export function sumSquares(
  recorder: Recorder,
  tensors: readonly Summand[],
  norm: Tensor,
  options: { readonly most?: number; readonly scratch: Pick<Scratch, "get"> },
): void {
  const counts = tensors.map(({ elements }) => Math.ceil(elements / SUMMED));
  const count = counts.reduce((sum, own) => sum + own, 0);
  const sums = options.scratch.get("sums of squares", count);
  let first = 0;
  for (const [i, { tensor, elements }] of tensors.entries()) {
    recorder.dispatch(sumSquaresKernel, {
      bindings: { x: tensor, sums },
      params: { elements, first_sum: first },
      constants: { LANES: rowLanes(SUMMED, recorder.gpu) },
      cost: { operations: 2 * elements, bytes: 4 * (elements + counts[i]) },
      workgroups: [counts[i]],
    });
    first += counts[i];
  }
  finishNorm(recorder, sums, norm, { count, most: options.most });
}
