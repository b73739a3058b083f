/** Rotation of queries and keys, and the split of the fused projection into heads. */

import type { HeadShape } from "../../src/kernels/attention.ts";
import { rope, rotationTable } from "../../src/kernels/rope.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly theta: number;
  /** Where the rows lie in q. */
  readonly firstQuery?: number;
  /** Where they lie in k, v and the positions. */
  readonly firstKey?: number;
  /** Floats of a row of the projection beyond queries, keys and values. */
  readonly extra?: number;
}

interface Inputs extends Size {
  readonly shape: HeadShape;
  readonly qkv: Float32Array<ArrayBuffer>;
  readonly qkvStride: number;
  /** Of all rows of k and v, and as many as q has. */
  readonly positions: Uint32Array<ArrayBuffer>;
}

/** Low, so that an angle of the f32 table is as exact as the tolerance. */
const POSITIONS = 64;

/**
 * Channel i turns against channel i + headDim / 2 by `position * theta^(-2 i / headDim)`; values are
 * copied.
 */
export function reference(inputs: Inputs) {
  const { rows, firstQuery = 0, firstKey = 0, theta, shape, qkv, qkvStride, positions } = inputs;
  const { heads, kvHeads, headDim, headStride } = shape;
  const half = headDim / 2;
  const split = (count: number, firstHead: number, firstRow: number, rotated: boolean) => {
    const all = untouchedReference(positions.length * count * headStride);
    for (let row = 0; row < rows; row++) {
      for (let head = 0; head < count; head++) {
        const from = row * qkvStride + (firstHead + head) * headDim;
        const to = ((firstRow + row) * count + head) * headStride;
        for (let i = 0; i < half; i++) {
          const angle = rotated ? positions[firstKey + row] * theta ** (-2 * i / headDim) : 0;
          const a = qkv[from + i];
          const b = qkv[from + i + half];
          all[to + i] = a * Math.cos(angle) - b * Math.sin(angle);
          all[to + i + half] = b * Math.cos(angle) + a * Math.sin(angle);
        }
      }
    }
    return all;
  };
  return {
    q: split(heads, 0, firstQuery, true),
    k: split(kvHeads, heads, firstKey, true),
    v: split(kvHeads, heads + kvHeads, firstKey, false),
  };
}

/** Head sizes around those where the number of lanes changes, some with channels left over. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "rope",
  tolerance: 2e-5,
  sizes: [
    { name: "1 row, heads of 16", rows: 1, heads: 4, kvHeads: 4, headDim: 16, theta: 10000 },
    { name: "heads of 18", rows: 9, heads: 3, kvHeads: 1, headDim: 18, theta: 500000, extra: 5 },
    {
      name: "heads of 20, later rows",
      rows: 5,
      heads: 2,
      kvHeads: 2,
      headDim: 20,
      theta: 10000,
      firstQuery: 3,
      firstKey: 3,
    },
    {
      name: "later keys",
      rows: 4,
      heads: 4,
      kvHeads: 2,
      headDim: 24,
      theta: 10000,
      firstKey: 9,
    },
    {
      name: "queries and keys at different rows",
      rows: 6,
      heads: 2,
      kvHeads: 1,
      headDim: 64,
      theta: 500000,
      firstQuery: 5,
      firstKey: 2,
      extra: 3,
    },
    { name: "heads of 32", rows: 17, heads: 6, kvHeads: 2, headDim: 32, theta: 10000 },
    { name: "heads of 34", rows: 2, heads: 1, kvHeads: 1, headDim: 34, theta: 10000 },
    { name: "heads of 128", rows: 4, heads: 2, kvHeads: 1, headDim: 128, theta: 500000 },
  ],
  modelSizes: [
    {
      name: "128 rows, 16 heads of 64",
      rows: 128,
      heads: 16,
      kvHeads: 16,
      headDim: 64,
      theta: 1e4,
    },
  ],
  inputs(size, random) {
    const { rows, heads, kvHeads, headDim, firstQuery = 0, firstKey = 0, extra = 0 } = size;
    const qkvStride = (heads + 2 * kvHeads) * headDim + extra;
    return {
      ...size,
      shape: { heads, kvHeads, headDim, headStride: paddedInner(headDim) },
      qkvStride,
      qkv: random.floats(rows * qkvStride),
      positions: random.integers(Math.max(firstQuery, firstKey) + rows + 1, POSITIONS),
    };
  },
  upload(tensors, inputs) {
    const { rows, firstQuery = 0, firstKey = 0, theta, shape, qkv, qkvStride, positions } = inputs;
    const { heads, kvHeads, headDim, headStride } = shape;
    const split = (name: string, count: number) =>
      tensors.untouched(name, positions.length * count * headStride);
    const outputs = { q: split("q", heads), k: split("k", kvHeads), v: split("v", kvHeads) };
    const read = {
      qkv: tensors.of("qkv", qkv),
      rowPosition: tensors.of("positions", positions),
      rotation: tensors.of("rotation", rotationTable(POSITIONS, headDim, theta)),
    };
    const { q, k, v } = outputs;
    const written = { q: q.tensor, k: k.tensor, v: v.tensor };
    return {
      record: (recorder) =>
        rope(recorder, { ...read, ...written }, shape, { rows, firstQuery, firstKey, qkvStride }),
      outputs,
    };
  },
  reference,
  cost({ rows, heads, kvHeads, headDim }) {
    const floats = rows * (heads + 2 * kvHeads) * headDim;
    return { multiplyAdds: 2 * floats, bytes: 8 * floats };
  },
});
