/** A copy by a shader, to measure the device's memory bandwidth. */

import source from "../../shaders/copy.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/copy.wgsl */
export const copyKernel = defineKernel({
  name: "copy",
  source,
  bindings: { x: "read", y: "write" },
  params: { units: "u32" },
});

/** Units of 16 bytes that a workgroup copies. */
const UNITS = 4 * 256;

/**
 * Records `y = x`.
 * @param x `[units]` of 16 bytes
 * @param y `[units]` of 16 bytes
 */
export function copyUnits(recorder: Recorder, x: Tensor, y: Tensor, units: number): void {
  recorder.dispatch(copyKernel, {
    bindings: { x, y },
    params: { units },
    workgroups: [Math.ceil(units / UNITS)],
  });
}
