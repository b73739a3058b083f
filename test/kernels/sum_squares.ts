/** The length of several tensors together: sums of squares of their parts, and what is made of them. */

import { NORM_WORDS } from "../../src/kernels/finish_norm.ts";
import { sumSquares } from "../../src/kernels/sum_squares.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { factorsOf } from "./finish_norm.ts";

interface Size {
  readonly name: string;
  /** Elements of each tensor. */
  readonly elements: readonly number[];
  readonly scale: number;
  readonly most?: number;
}

interface Inputs extends Size {
  readonly tensors: readonly Float32Array<ArrayBuffer>[];
}

/** Elements of a sum. */
const SUMMED = 16384;

/** Part by part, in f64. */
export function reference({ tensors, most }: Inputs) {
  const found = tensors.flatMap((tensor) =>
    Array.from(
      { length: Math.ceil(tensor.length / SUMMED) },
      (_, part) =>
        tensor.subarray(part * SUMMED, (part + 1) * SUMMED)
          .reduce((sum, value) => sum + value * value, 0),
    )
  );
  const sums = untouchedReference(found.length + GUARD_ROWS);
  sums.set(found);
  return { sums, norm: factorsOf(found, most) };
}

/** Tensors of one element, of a whole sum and one more, of several sums; lengths to clip and not. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "sum_squares",
  tolerance: 2e-6,
  sizes: [
    { name: "one number", elements: [1], scale: 0.5 },
    { name: "several tensors", elements: [7, 64, 1000, 3], scale: 0.05 },
    { name: "about a whole sum", elements: [SUMMED - 1, SUMMED, SUMMED + 1], scale: 0.01, most: 1 },
    { name: "several sums", elements: [3 * SUMMED + 77, 5], scale: 0.02, most: 1 },
    { name: "zeros", elements: [100], scale: 0, most: 1 },
  ],
  modelSizes: [{ name: "4096 by 1024", elements: [4096 * 1024], scale: 0.01, most: 1 }],
  inputs: (size, random) => ({
    ...size,
    tensors: size.elements.map((length) => random.floats(length, size.scale)),
  }),
  upload(tensors, { tensors: data, most }) {
    const count = data.reduce((sum, { length }) => sum + Math.ceil(length / SUMMED), 0);
    const sums = tensors.untouched("sums", count + GUARD_ROWS);
    const norm = tensors.untouched("norm", NORM_WORDS);
    const summands = data.map((one) => ({
      tensor: tensors.of("summand", one),
      elements: one.length,
    }));
    const scratch = { get: () => sums.tensor };
    return {
      record: (recorder) => sumSquares(recorder, summands, norm.tensor, { most, scratch }),
      outputs: { sums, norm },
    };
  },
  reference,
  cost({ elements }) {
    const all = elements.reduce((sum, own) => sum + own, 0);
    return { multiplyAdds: all, bytes: 4 * all };
  },
});
