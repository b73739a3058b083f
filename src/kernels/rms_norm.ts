/** Root-mean-square normalisation of rows. */

import source from "../../shaders/rms_norm.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/rms_norm.wgsl */
export const rmsNormKernel = defineKernel({
  name: "rms_norm",
  source,
  bindings: { x: "read", weight: "read", row_index: "read", y: "write" },
  params: { columns: "u32", stride: "u32", rows: "u32", epsilon: "f32" },
  constants: { GATHER: 0, LANES: 32 },
});

/**
 * Records `y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight` (Zhang and Sennrich 2019, eq. 4),
 * with r = i, or `rowIndex[i]` if given.
 * @param x `[xRows, stride]`
 * @param weight `[columns]`
 * @param y `[rows, stride]`
 */
export function rmsNorm(
  recorder: Recorder,
  x: Tensor,
  weight: Tensor,
  y: Tensor,
  options: {
    readonly rows: number;
    readonly xRows: number;
    readonly columns: number;
    readonly stride: number;
    readonly epsilon: number;
    readonly rowIndex?: Tensor;
  },
): void {
  recorder.dispatch(rmsNormKernel, {
    bindings: { x, weight, row_index: options.rowIndex ?? weight, y },
    params: {
      columns: options.columns,
      stride: options.stride,
      rows: options.xRows,
      epsilon: options.epsilon,
    },
    // For short rows, a barrier between many lanes costs more than it saves.
    constants: { GATHER: options.rowIndex ? 1 : 0, LANES: options.columns <= 512 ? 8 : 32 },
    // Operations: squares and their sum, scale and weight. Bytes: read and written.
    cost: {
      operations: 4 * options.rows * options.columns,
      bytes: 4 * (2 * options.rows + 1) * options.columns,
    },
    workgroups: [options.rows],
  });
}
