/** Chains of multiply-adds in f16. */

import { multiplyAddOperations } from "../../src/kernels/multiply_add.ts";
import { multiplyAddF16 } from "../../src/kernels/multiply_add_f16.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly workgroups: number;
  readonly rounds: number;
}

interface Inputs extends Size {
  readonly start: Float32Array<ArrayBuffer>;
}

/** Near 1, so that a chain neither dies out nor overflows. */
const A = 0.99;
const B = 0.01;

/** Four chains each from x, x + 1 and x + 2; eight steps a round. */
export function reference({ rounds, start }: Inputs) {
  const [a, b] = [Math.f16round(A), Math.f16round(B)];
  const result = Float64Array.from(start, (value) => {
    let sum = 0;
    const rounded = Math.f16round(value);
    for (const first of [rounded, rounded + 1, rounded + 2]) {
      let x = Math.f16round(first);
      for (let step = 0; step < 8 * rounds; step++) x = Math.f16round(x * a + b);
      sum += 4 * x;
    }
    return sum;
  });
  return { result };
}

/** A bench needs the chains to be run in full, so they are checked here. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "multiply_add_f16",
  // A device may round a product before it is added.
  // 16 steps of half a unit in the last place, twice, where all chains have one sign.
  tolerance: 1.6e-2,
  featureOf: () => "shader-f16",
  sizes: [
    { name: "no round", workgroups: 1, rounds: 0 },
    { name: "3 workgroups", workgroups: 3, rounds: 2 },
  ],
  modelSizes: [{ name: "256 workgroups", workgroups: 256, rounds: 512 }],
  inputs: (size, random) => ({ ...size, start: random.floats(32 * size.workgroups).map(Math.abs) }),
  upload(tensors, { workgroups, rounds, start }) {
    const result = tensors.untouched("result", start.length);
    const read = tensors.of("start", start);
    return {
      record: (recorder) =>
        multiplyAddF16(recorder, read, result.tensor, { workgroups, rounds, a: A, b: B }),
      outputs: { result },
    };
  },
  reference,
  cost: ({ workgroups, rounds }) => ({
    multiplyAdds: multiplyAddOperations(workgroups, rounds) / 2,
    bytes: 256 * workgroups,
  }),
});
