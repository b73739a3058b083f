/** Chains of multiply-adds: the arithmetic ceiling that other kernels' rates are compared with. */

import { multiplyAdd, multiplyAddOperations } from "../../src/kernels/multiply_add.ts";
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
  const [a, b] = [Math.fround(A), Math.fround(B)];
  const result = Float64Array.from(start, (value) => {
    let sum = 0;
    for (const first of [value, value + 1, value + 2]) {
      let x = first;
      for (let step = 0; step < 8 * rounds; step++) x = x * a + b;
      sum += 4 * x;
    }
    return sum;
  });
  return { result };
}

/** A bench needs the chains to be run in full, so they are checked here. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "multiply_add",
  tolerance: 1e-5,
  sizes: [
    { name: "no round", workgroups: 1, rounds: 0 },
    { name: "3 workgroups", workgroups: 3, rounds: 12 },
  ],
  modelSizes: [{ name: "256 workgroups", workgroups: 256, rounds: 512 }],
  inputs: (size, random) => ({ ...size, start: random.floats(32 * size.workgroups) }),
  upload(tensors, { workgroups, rounds, start }) {
    const result = tensors.untouched("result", start.length);
    const read = tensors.of("start", start);
    return {
      record: (recorder) =>
        multiplyAdd(recorder, read, result.tensor, { workgroups, rounds, a: A, b: B }),
      outputs: { result },
    };
  },
  reference,
  cost: ({ workgroups, rounds }) => ({
    multiplyAdds: multiplyAddOperations(workgroups, rounds) / 2,
    bytes: 256 * workgroups,
  }),
});
