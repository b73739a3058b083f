/** Lanes of kernels that make the softmax of rows (shaders/lib/row_softmax.wgsl). */

import type { Gpu } from "../gpu/device.ts";
import { laneGroups, rowLanes } from "./rms_norm.ts";

/**
 * Override constants of the snippet: lanes of a row's workgroup, and those that add up their sums.
 * @param lanes a power of two from 8 to 256
 */
export function softmaxLanes(
  columns: number,
  gpu: Pick<Gpu, "software">,
  lanes: number = rowLanes(columns, gpu),
): { readonly LANES: number; readonly GROUPS: number } {
  return { LANES: lanes, GROUPS: laneGroups(lanes) };
}
