/** Chains of packed dot products of int8 codes. */

import { multiplyAddInt8, multiplyAddInt8Operations } from "../../src/kernels/multiply_add_int8.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  readonly workgroups: number;
  readonly rounds: number;
}

interface Inputs extends Size {
  readonly start: Uint32Array<ArrayBuffer>;
}

/** Four odd codes of both signs: a chain does not die out. */
const FACTOR = 0x6bf31d8f;

const codes = (word: number) => new Int8Array(Uint32Array.of(word).buffer);

/** Twelve chains from x on; eight steps a round. */
export function reference({ rounds, start }: Inputs) {
  const factor = codes(FACTOR);
  const result = Float64Array.from(start, (value) => {
    let sum = 0;
    for (let chain = 0; chain < 12; chain++) {
      let x = (value + chain) >>> 0;
      for (let step = 0; step < 8 * rounds; step++) {
        x = codes(x).reduce((dot, code, i) => dot + code * factor[i], 0) >>> 0;
      }
      sum = (sum + x) >>> 0;
    }
    return sum;
  });
  return { result };
}

/** A bench needs the chains to be run in full, so they are checked here. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "multiply_add_int8",
  tolerance: 0,
  sizes: [
    { name: "no round", workgroups: 1, rounds: 0 },
    { name: "3 workgroups", workgroups: 3, rounds: 5 },
  ],
  modelSizes: [{ name: "256 workgroups", workgroups: 256, rounds: 512 }],
  inputs: (size, random) => ({ ...size, start: random.integers(32 * size.workgroups, 2 ** 31) }),
  upload(tensors, { workgroups, rounds, start }) {
    const result = tensors.untouched("result", start.length, ["u32"]);
    const read = tensors.of("start", start);
    return {
      record: (recorder) =>
        multiplyAddInt8(recorder, read, result.tensor, { workgroups, rounds, factor: FACTOR }),
      outputs: { result },
    };
  },
  reference,
  cost: ({ workgroups, rounds }) => ({
    multiplyAdds: multiplyAddInt8Operations(workgroups, rounds) / 2,
    bytes: 256 * workgroups,
  }),
});
