/** Root-mean-square normalisation of rows. */

import source from "../../shaders/rms_norm.wgsl" with { type: "text" };
import type { Gpu } from "../gpu/device.ts";
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { type NormedRows, stripRmsNorm } from "./strip_rms_norm.ts";

/** shaders/rms_norm.wgsl */
export const rmsNormKernel = defineKernel({
  name: "rms_norm",
  source,
  bindings: { x: "read", weight: "read", row_index: "read", y: "write" },
  params: { columns: "u32", stride: "u32", rows: "u32", first_row: "u32", epsilon: "f32" },
  constants: { GATHER: 0, LANES: 32, GROUPS: 8, FIT: 2 },
});

/** Columns that a lane keeps in registers: HELD in the shader. */
const HELD = 16;
/** Lanes of a workgroup that every device has. */
const MOST_LANES = 256;

/**
 * Lanes for a row. A GPU waits some 500 cycles for memory whatever is asked, so the whole row is asked
 * for at once. A software adapter runs lanes one after another, and pays for a barrier between many.
 */
export function rowLanes(columns: number, { software }: Pick<Gpu, "software">): number {
  if (software) return columns <= 512 ? 8 : 32;
  const lanes = 2 ** Math.ceil(Math.log2(columns / HELD));
  return Math.min(MOST_LANES, Math.max(32, lanes));
}

/** Of so many lanes, those that add up the sums of all: near the root, so that nobody adds up more than 16. */
export function laneGroups(lanes: number): number {
  return lanes >= 128 ? 16 : lanes >= 32 ? 8 : 1;
}

/** Constants of a kernel that keeps a row in the registers of so many lanes. */
export function laneConstants(
  columns: number,
  lanes: number,
): { readonly LANES: number; readonly GROUPS: number; readonly FIT: number } {
  const kept = HELD * lanes;
  return {
    LANES: lanes,
    GROUPS: laneGroups(lanes),
    FIT: kept === columns ? 0 : kept > columns ? 1 : 2,
  };
}

/**
 * Records `y[i] = x[r] / sqrt(mean(x[r]^2) + epsilon) * weight` (Zhang and Sennrich 2019, eq. 4),
 * with r = firstRow + i, or `rowIndex[i]` if given.
 * @param x `[xRows, stride]`
 * @param weight `[columns]`
 * @param y `[rows, stride]`
 */
export function rmsNorm(
  recorder: Recorder,
  x: Tensor,
  weight: Tensor,
  y: Tensor,
  options: NormedRows & {
    /** Lanes of a workgroup, a power of two (default: by {@linkcode rowLanes}). */
    readonly lanes?: number;
  },
): void {
  const fours = options.columns % 4 === 0 && options.stride % 4 === 0;
  if (recorder.gpu.rowForm === "exchanged" && fours && options.lanes === undefined) {
    stripRmsNorm(recorder, x, weight, y, options);
    return;
  }
  recorder.dispatch(rmsNormKernel, {
    bindings: { x, weight, row_index: options.rowIndex ?? weight, y },
    params: {
      columns: options.columns,
      stride: options.stride,
      rows: options.xRows,
      first_row: options.firstRow ?? 0,
      epsilon: options.epsilon,
    },
    constants: {
      GATHER: options.rowIndex ? 1 : 0,
      ...laneConstants(options.columns, options.lanes ?? rowLanes(options.columns, recorder.gpu)),
    },
    // Operations: squares and their sum, scale and weight. Bytes: read and written.
    cost: {
      operations: 4 * options.rows * options.columns,
      bytes: 4 * (2 * options.rows + 1) * options.columns,
    },
    workgroups: [options.rows],
  });
}
