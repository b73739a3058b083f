/** Rotary position embedding, with the split of the fused projection into heads. */

import source from "../../shaders/rope.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { HeadShape } from "./attention.ts";

/** shaders/rope.wgsl */
export const ropeKernel = defineKernel({
  name: "rope",
  source,
  bindings: {
    qkv: "read",
    row_position: "read",
    rotation: "read",
    q: "write",
    k: "write",
    v: "write",
  },
  params: {
    first_query: "u32",
    first_key: "u32",
    heads: "u32",
    kv_heads: "u32",
    head_dim: "u32",
    head_stride: "u32",
    qkv_stride: "u32",
  },
  constants: { LANES: 32 },
});

/**
 * (cos, sin) of `position * theta^(-2 i / headDim)`, made on the CPU: WGSL's own need only be
 * accurate to 2^-11 (Su et al. 2021, RoFormer, eq. 34).
 * @returns `[positions, headDim / 2, 2]`
 */
export function rotationTable(
  positions: number,
  headDim: number,
  theta: number,
): Float32Array<ArrayBuffer> {
  const half = headDim / 2;
  const table = new Float32Array(positions * half * 2);
  for (let i = 0; i < half; i++) {
    // The published code makes the frequencies in f32; the angle's rounding follows from it.
    const frequency = Math.fround(1 / Math.fround(Math.pow(theta, Math.fround((2 * i) / headDim))));
    for (let position = 0; position < positions; position++) {
      const angle = Math.fround(position * frequency);
      table[(position * half + i) * 2] = Math.cos(angle);
      table[(position * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}

/**
 * Records the rotation of `rows` rows of `qkv`, written to q from row `firstQuery` on, and to k and v
 * from row `firstKey` on.
 * @param qkv `[rows, qkvStride]`
 * @param rowPosition `[keys]`
 * @param rotation see {@linkcode rotationTable}
 */
export function rope(
  recorder: Recorder,
  tensors: {
    readonly qkv: Tensor;
    readonly rowPosition: Tensor;
    readonly rotation: Tensor;
    readonly q: Tensor;
    readonly k: Tensor;
    readonly v: Tensor;
  },
  shape: HeadShape,
  options: {
    readonly rows: number;
    readonly firstQuery: number;
    readonly firstKey: number;
    readonly qkvStride: number;
  },
): void {
  recorder.dispatch(ropeKernel, {
    bindings: {
      qkv: tensors.qkv,
      row_position: tensors.rowPosition,
      rotation: tensors.rotation,
      q: tensors.q,
      k: tensors.k,
      v: tensors.v,
    },
    params: {
      first_query: options.firstQuery,
      first_key: options.firstKey,
      heads: shape.heads,
      kv_heads: shape.kvHeads,
      head_dim: shape.headDim,
      head_stride: shape.headStride,
      qkv_stride: options.qkvStride,
    },
    constants: { LANES: shape.headDim <= 16 ? 8 : shape.headDim <= 32 ? 16 : 32 },
    workgroups: [1, options.rows],
  });
}
