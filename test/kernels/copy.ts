/** `y[i] = x[i]`: the memory ceiling that other kernels' rates are compared with. */

import { copyUnits } from "../../src/kernels/copy.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  /** Of 16 bytes. */
  readonly units: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** Every word as it was. */
export function reference({ x }: Inputs) {
  return { y: Float64Array.from(x) };
}

/** Around the 1024 units of a workgroup. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "copy",
  tolerance: 0,
  sizes: [
    { name: "one unit", units: 1 },
    { name: "1023 units", units: 1023 },
    { name: "1024 units", units: 1024 },
    { name: "3000 units", units: 3000 },
  ],
  modelSizes: [{ name: "16 MiB", units: 2 ** 20 }],
  inputs: (size, random) => ({ ...size, x: random.floats(4 * size.units) }),
  upload(tensors, { units, x }) {
    const y = tensors.untouched("y", x.length);
    const from = tensors.of("x", x);
    return {
      record: (recorder) => copyUnits(recorder, from, y.tensor, units),
      outputs: { y },
    };
  },
  reference,
  cost: ({ units }) => ({ multiplyAdds: 0, bytes: 32 * units }),
});
