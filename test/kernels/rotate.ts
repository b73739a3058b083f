/** Pairs of channels turned by their row's position, in place, and back. */

import { rotationTable } from "../../src/kernels/qkv.ts";
import { rotate } from "../../src/kernels/rotate.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, UNTOUCHED_F32 } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
  readonly inverse?: boolean;
  /** Numbers of a row behind its heads, which must stay as they are. */
  readonly behind?: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
  readonly positions: Uint32Array<ArrayBuffer>;
  readonly rotation: Float32Array<ArrayBuffer>;
}

const strideOf = ({ heads, headDim, behind = 0 }: Size) => heads * paddedInner(headDim) + behind;

/** Turns by the angle, or by the opposite one. */
function turned(inputs: Inputs, x: ArrayLike<number>, inverse: boolean): Float64Array {
  const { rows, heads, headDim, positions, rotation } = inputs;
  const half = headDim / 2;
  const y = Float64Array.from(x);
  for (let row = 0; row < rows; row++) {
    for (let head = 0; head < heads; head++) {
      for (let i = 0; i < half; i++) {
        const at = row * strideOf(inputs) + head * paddedInner(headDim) + i;
        const [cos, sin] = rotation.subarray(2 * (positions[row] * half + i));
        const turn = inverse ? -sin : sin;
        y[at] = x[at] * cos - x[at + half] * turn;
        y[at + half] = x[at + half] * cos + x[at] * turn;
      }
    }
  }
  return y;
}

/** `(a cos - b sin, b cos + a sin)`; padding stays as it is. */
export function reference(inputs: Inputs) {
  return { x: turned(inputs, inputs.x, inputs.inverse ?? false) };
}

/** Numbers of pairs around a workgroup, padded heads. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "rotate",
  tolerance: 1e-6,
  sizes: [
    { name: "one pair", rows: 1, heads: 1, headDim: 2 },
    { name: "padded heads", rows: 5, heads: 3, headDim: 10, behind: 8 },
    { name: "inverse, padded heads", rows: 7, heads: 2, headDim: 34, inverse: true },
    { name: "65 pairs", rows: 3, heads: 5, headDim: 26 },
    { name: "inverse", rows: 9, heads: 2, headDim: 64, inverse: true },
  ],
  modelSizes: [{ name: "128 rows, 8 heads of 128", rows: 128, heads: 8, headDim: 128 }],
  inputs: (size, random) => ({
    ...size,
    x: random.floats((size.rows + GUARD_ROWS) * strideOf(size)).fill(
      UNTOUCHED_F32,
      size.rows * strideOf(size),
    ),
    positions: random.integers(size.rows, 20),
    rotation: rotationTable(20, size.headDim, 10000),
  }),
  upload(tensors, { x, positions, rotation, rows, heads, headDim, inverse, behind }) {
    const headStride = paddedInner(headDim);
    const tensor = tensors.of("x", x);
    const [at, table] = [tensors.of("positions", positions), tensors.of("rotation", rotation)];
    const stride = strideOf({ name: "", rows, heads, headDim, behind });
    const options = { rows, heads, shape: { headDim, headStride }, stride, inverse };
    return {
      record: (recorder) => rotate(recorder, tensor, at, table, options),
      outputs: { x: { tensor, length: x.length, words: ["f32"] } },
    };
  },
  reference,
  /** The gradient of a rotation is the opposite rotation of the gradient. */
  differences(inputs) {
    const { inverse = false } = inputs;
    const dY = inputs.x.map((_, i) => Math.sin(i));
    return {
      variables: { x: Float64Array.from(inputs.x) },
      value: ({ x }) => turned(inputs, x, inverse).reduce((sum, y, i) => sum + y * dY[i], 0),
      gradients: { x: turned(inputs, dY, !inverse) },
    };
  },
  cost: ({ rows, heads, headDim }) => ({
    multiplyAdds: 2 * rows * heads * headDim,
    bytes: 4 * rows * (2 * heads * headDim + headDim),
  }),
});
