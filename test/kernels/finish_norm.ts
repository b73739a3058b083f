/** A length and factors, made of sums of squares. */

import { finishNorm, NORM_WORDS } from "../../src/kernels/finish_norm.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly count: number;
  readonly scale: number;
  readonly most?: number;
}

interface Inputs extends Size {
  readonly sums: Float32Array<ArrayBuffer>;
}

/** The sum, its root, the factor that clips, the factor to length 1. */
export function factorsOf(sums: ArrayLike<number>, most = Infinity): Float64Array {
  const squares = Array.from(sums).reduce((sum, own) => sum + own, 0);
  const length = Math.sqrt(squares);
  return Float64Array.of(squares, length, length > most ? most / length : 1, 1 / (length + 1e-7));
}

/** Fewer sums than lanes and more, lengths below the limit and above, and none at all. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "finish_norm",
  tolerance: 2e-6,
  sizes: [
    { name: "one", count: 1, scale: 1 },
    { name: "clipped", count: 33, scale: 3, most: 1 },
    { name: "not clipped", count: 9, scale: 1e-3, most: 1 },
    { name: "many", count: 5001, scale: 1e-2, most: 0.5 },
    { name: "nothing", count: 4, scale: 0, most: 1 },
    { name: "tiny", count: 4, scale: 1e-16, most: 1e-9 },
  ],
  modelSizes: [{ name: "65536 sums", count: 65536, scale: 1, most: 1 }],
  inputs: (size, random) => ({
    ...size,
    sums: random.floats(size.count, size.scale).map(Math.abs),
  }),
  upload(tensors, { count, most, sums }) {
    const norm = tensors.untouched("norm", NORM_WORDS);
    const read = tensors.of("sums", sums);
    return {
      record: (recorder) => finishNorm(recorder, read, norm.tensor, { count, most }),
      outputs: { norm },
    };
  },
  reference: ({ sums, most }) => ({ norm: factorsOf(sums, most) }),
  cost: ({ count }) => ({ multiplyAdds: 0, bytes: 4 * count }),
});
