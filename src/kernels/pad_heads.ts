/** Heads side by side, moved apart as kernels of attention's backward pass read them. */

import source from "../../shaders/pad_heads.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { HeadShape } from "./attention.ts";

/** shaders/pad_heads.wgsl */
export const padHeadsKernel = defineKernel({
  name: "pad_heads",
  source,
  bindings: { x: "read", y: "write" },
  params: { head_dim: "u32", head_stride: "u32", x_stride: "u32", columns: "u32" },
});

/** Lanes of a workgroup: as in the shader. */
const LANES = 64;

/**
 * Records `y[row, head] = x[row, head]`, with zeros behind each head's channels.
 * @param x `[rows, xStride]`, heads `headDim` apart
 * @param y `[rows, heads, headStride]`
 */
export function padHeads(
  recorder: Recorder,
  x: Tensor,
  y: Tensor,
  { heads, headDim, headStride }: Omit<HeadShape, "kvHeads">,
  { rows, xStride }: { readonly rows: number; readonly xStride: number },
): void {
  const columns = heads * headStride;
  recorder.dispatch(padHeadsKernel, {
    bindings: { x, y },
    params: { head_dim: headDim, head_stride: headStride, x_stride: xStride, columns },
    cost: { operations: 0, bytes: 4 * rows * (heads * headDim + columns) },
    workgroups: [Math.ceil(columns / LANES), rows],
  });
}
