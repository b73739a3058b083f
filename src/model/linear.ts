/** Linear layers: picks the kernel, and gives it rows as floats, in f16 or as integer codes. */

import type { Gpu } from "../gpu/device.ts";
import { rowElement } from "../gpu/kernel.ts";
import type { MatrixUnits } from "../gpu/matrix_units.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { HeadShape } from "../kernels/attention.ts";
import { matmul, mostSumWords } from "../kernels/matmul.ts";
import { matrixMultiply } from "../kernels/matrix_multiply.ts";
import { matrixQkv } from "../kernels/matrix_qkv.ts";
import { matrixSwiglu } from "../kernels/matrix_swiglu.ts";
import { matrixRows, matrixRowWords } from "../kernels/matrix_rows.ts";
import { partsOf, runsOnMatrixUnits } from "../kernels/matrix_tile.ts";
import { qkv, type QkvRows, type QkvTensors } from "../kernels/qkv.ts";
import { narrowedRowWords, narrowRows } from "../kernels/narrow_rows.ts";
import { quantizedRowWords, quantizeRows } from "../kernels/quantize_rows.ts";
import { stripMatmul } from "../kernels/strip_matmul.ts";
import { stripQkv } from "../kernels/strip_qkv.ts";
import { runsInStrips } from "../kernels/strips.ts";
import { stripSwiglu } from "../kernels/strip_swiglu.ts";
import { swiglu } from "../kernels/swiglu.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import { BLOCK } from "../quant/scheme.ts";

/** The recorder of layers, and the scratch memory of their intermediate results. */
export interface LayerSpace {
  readonly recorder: Recorder;
  readonly scratch: Scratch;
}

/**
 * Records `y = x W^T` (or `y += x W^T`) with the kernel for the device and the weights.
 * @param x `[rows, 8 * weights.blocks]`
 * @param y `[rows, yStride]`
 */
export function linear(
  space: LayerSpace,
  x: Tensor,
  weights: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number; readonly add?: boolean },
): void {
  const { recorder } = space;
  const { matrixUnits } = recorder.gpu;
  if (runsOnMatrixUnits(matrixUnits, weights)) {
    const matrices = matricesFor(weights, matrixUnits, x, options.rows, space);
    matrixMultiply(recorder, matrixUnits, matrices, weights, y, options);
  } else if (runsInStrips(recorder.gpu, weights, options.yStride)) {
    stripMatmul(recorder, x, weights, y, options);
  } else {
    const rows = rowsFor(weights, x, options.rows, space);
    matmul(recorder, rows, weights, y, { ...options, scratch: space.scratch });
  }
}

/** The most words of scratch memory that {@linkcode linear} takes for sums, of at most so many rows. */
export function mostLinearSums(
  gpu: Pick<Gpu, "limits" | "rowForm" | "matrixUnits" | "software">,
  weights: WeightMatrix,
  yStride: number,
  rows: number,
): number {
  const others = runsOnMatrixUnits(gpu.matrixUnits, weights) ||
    runsInStrips(gpu, weights, yStride);
  return others ? 0 : mostSumWords(gpu, weights, rows);
}

/**
 * Records `y = silu(x G^T) * (x U^T)` of a gate/up pair with the kernel for it.
 * @param x `[rows, 8 * gateUp.blocks]`
 * @param y `[rows, yStride]`
 */
export function gatedLinear(
  space: LayerSpace,
  x: Tensor,
  gateUp: WeightMatrix,
  y: Tensor,
  options: { readonly rows: number; readonly yStride: number },
): void {
  const { recorder } = space;
  const { matrixUnits } = recorder.gpu;
  if (runsOnMatrixUnits(matrixUnits, gateUp)) {
    const matrices = matricesFor(gateUp, matrixUnits, x, options.rows, space);
    matrixSwiglu(recorder, matrixUnits, matrices, gateUp, y, options);
  } else if (runsInStrips(recorder.gpu, gateUp, options.yStride)) {
    stripSwiglu(recorder, x, gateUp, y, options);
  } else {
    swiglu(recorder, rowsFor(gateUp, x, options.rows, space), gateUp, y, options);
  }
}

/** Records queries, keys and values of some rows with the kernel for them. */
export function projectQkv(
  space: LayerSpace,
  tensors: QkvTensors,
  weights: WeightMatrix,
  shape: HeadShape,
  options: QkvRows,
): void {
  const { recorder } = space;
  const { matrixUnits } = recorder.gpu;
  if (runsOnMatrixUnits(matrixUnits, weights)) {
    const x = matricesFor(weights, matrixUnits, tensors.x, options.rows, space);
    matrixQkv(recorder, matrixUnits, { ...tensors, x }, weights, shape, options);
  } else if (runsInStrips(recorder.gpu, weights, shape.headDim / 2)) {
    stripQkv(recorder, tensors, weights, shape, options);
  } else {
    const x = rowsFor(weights, tensors.x, options.rows, space);
    qkv(recorder, { ...tensors, x }, weights, shape, options);
  }
}

/**
 * Converts `x` to the form that these weights are multiplied with: floats as they are, or in scratch
 * memory f16 or codes, which are valid until the next call.
 * @param x `[rows, 8 * weights.blocks]`
 */
export function rowsFor(
  weights: WeightMatrix,
  x: Tensor,
  rows: number,
  { recorder, scratch }: LayerSpace,
): Tensor {
  const { arithmetic, scheme } = weights;
  const inner = BLOCK * weights.blocks;
  if (rowElement(arithmetic, recorder.gpu.rowForm) === "f16") {
    // All of it is written each time, so that one tensor serves every inner size.
    const narrowed = scratch.get("rows in f16", rows * narrowedRowWords(inner));
    narrowRows(recorder, x, narrowed, { rows, inner });
    return narrowed;
  }
  if (arithmetic !== "int8") return x;
  const words = quantizedRowWords(inner);
  // The name includes the width, because a scratch tensor keeps its stride.
  const codes = scratch.get(`codes of ${inner}`, rows * words);
  quantizeRows(recorder, x, codes, { rows, inner, scheme });
  return codes;
}

/** Converts `x` to matrices in scratch memory that are valid until the next call. */
function matricesFor(
  weights: WeightMatrix,
  units: MatrixUnits,
  x: Tensor,
  rows: number,
  { recorder, scratch }: LayerSpace,
): Tensor {
  const shape = { rows, inner: BLOCK * weights.blocks, parts: partsOf(weights) };
  // All of it is written each time, so that one tensor serves every inner size.
  const matrices = scratch.get("rows as matrices", matrixRowWords(units, shape));
  matrixRows(recorder, units, x, matrices, shape);
  return matrices;
}
