/** What a linear layer's kernel is given: rows as they are, or their codes. */

import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { quantizedRowWords, quantizeRows } from "../kernels/quantize_rows.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import { BLOCK } from "../quant/scheme.ts";

/**
 * The form of `x` that meets these weights. Codes live in scratch until the next call.
 * @param x `[rows, 8 * weights.blocks]`
 */
export function rowsFor(
  weights: WeightMatrix,
  x: Tensor,
  rows: number,
  { recorder, scratch }: { readonly recorder: Recorder; readonly scratch: Scratch },
): Tensor {
  if (weights.arithmetic !== "int8") return x;
  const inner = BLOCK * weights.blocks;
  const words = quantizedRowWords(inner);
  // A name must keep its stride.
  const codes = scratch.get(`codes of ${inner}`, rows * words);
  quantizeRows(recorder, x, codes, { rows, inner });
  return codes;
}
