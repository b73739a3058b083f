/** Rotary embedding of rows that are projected already, and its inverse. */

import source from "../../shaders/rotate.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { HeadShape } from "./attention.ts";

/** shaders/rotate.wgsl */
export const rotateKernel = defineKernel({
  name: "rotate",
  source,
  bindings: { positions: "read", rotation: "read", x: "write" },
  params: { pairs: "u32", stride: "u32", direction: "f32" },
  constants: { HALF: 64, HEAD_STRIDE: 128 },
});

/** Lanes of a workgroup: as in the shader. */
const LANES = 64;

/**
 * Records the rotation of every head of `x` by its row's position, in place. The inverse also turns the
 * gradient of rotated heads into that of heads before their rotation.
 * @param x `[rows, stride]`: queries or keys, heads `headStride` apart
 * @param positions `[rows]`, each below the number of the table's
 * @param rotation see rotationTable in qkv.ts
 * @param options.heads heads of a row of `x`: of queries or of keys
 */
export function rotate(
  recorder: Recorder,
  x: Tensor,
  positions: Tensor,
  rotation: Tensor,
  options: {
    readonly rows: number;
    readonly heads: number;
    readonly shape: Pick<HeadShape, "headDim" | "headStride">;
    readonly stride: number;
    readonly inverse?: boolean;
  },
): void {
  const { rows, heads, shape: { headDim, headStride }, stride, inverse = false } = options;
  const half = headDim / 2;
  const pairs = heads * half;
  recorder.dispatch(rotateKernel, {
    bindings: { positions, rotation, x },
    params: { pairs, stride, direction: inverse ? -1 : 1 },
    constants: { HALF: half, HEAD_STRIDE: headStride },
    cost: { operations: 6 * rows * pairs, bytes: 4 * rows * (4 * pairs + headDim + 1) },
    workgroups: [Math.ceil(pairs / LANES), rows],
  });
}
