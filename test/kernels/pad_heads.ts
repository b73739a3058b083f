/** Heads side by side, moved apart. */

import { padHeads } from "../../src/kernels/pad_heads.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
  /** Numbers of a row of x behind its heads. */
  readonly behind?: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Zeros behind each head's channels. */
export function reference({ rows, heads, headDim, behind = 0, x }: Inputs) {
  const headStride = paddedInner(headDim);
  const y = untouchedReference((rows + GUARD_ROWS) * heads * headStride);
  for (let i = 0; i < rows * heads * headStride; i++) {
    const channel = i % headStride;
    const head = Math.floor(i / headStride);
    const at = Math.floor(head / heads) * (heads * headDim + behind) + head % heads * headDim;
    y[i] = channel < headDim ? x[at + channel] : 0;
  }
  return { y };
}

export const kernelCase = defineCase<Size, Inputs>({
  kernel: "pad_heads",
  tolerance: 0,
  sizes: [
    { name: "one by one", rows: 1, heads: 1, headDim: 1 },
    { name: "odd heads", rows: 7, heads: 5, headDim: 13, behind: 7 },
    { name: "whole heads", rows: 3, heads: 3, headDim: 24 },
  ],
  modelSizes: [{ name: "128 rows, 10 heads of 100", rows: 128, heads: 10, headDim: 100 }],
  inputs: (size, random) => ({
    ...size,
    x: random.floats(size.rows * (size.heads * size.headDim + (size.behind ?? 0))),
  }),
  upload(tensors, { rows, heads, headDim, behind = 0, x }) {
    const headStride = paddedInner(headDim);
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * heads * headStride);
    const input = tensors.of("x", x);
    const options = { rows, xStride: heads * headDim + behind };
    const shape = { heads, headDim, headStride };
    return {
      record: (recorder) => padHeads(recorder, input, y.tensor, shape, options),
      outputs: { y },
    };
  },
  reference,
  cost: ({ rows, heads, headDim }) => ({ multiplyAdds: 0, bytes: 8 * rows * heads * headDim }),
});
