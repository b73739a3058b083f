/** Weighted sums in place: plain, with a factor that lies on the GPU, and as a moving average. */

import { average, combine, type NormFactor } from "../../src/kernels/combine.ts";
import { defineCase } from "./case.ts";
import { inPlace } from "./logit_rows.ts";

interface Size {
  readonly name: string;
  readonly elements: number;
  readonly own: number;
  readonly other: number;
  readonly times?: Omit<NormFactor, "norm">;
  /** Whether it is recorded as an average that keeps `own`. */
  readonly averages?: boolean;
}

interface Inputs extends Size {
  readonly y: Float32Array<ArrayBuffer>;
  readonly x: Float32Array<ArrayBuffer>;
}

/** Stands behind the last group of four. */
const GUARD = 77;
/** What `sumSquares` may have left. */
const NORM = Float32Array.of(9, 3, 0.625, 0.3125);

/** The formula, in f64. */
export function reference({ elements, own, other, times, y, x }: Inputs) {
  const factor = times?.factor === "unit" ? NORM[3] : NORM[2];
  const result = Float64Array.from(y);
  for (let i = 0; i < elements; i++) {
    result[i] = own * (times?.of === "own" ? factor : 1) * y[i] +
      other * (times?.of === "other" ? factor : 1) * x[i];
  }
  return { y: result };
}

/** Each factor on each side, and sizes that fill no group of four. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "combine",
  tolerance: 1e-6,
  sizes: [
    { name: "one", elements: 1, own: 0.5, other: -2 },
    { name: "plain", elements: 1001, own: 0.95, other: 0.05 },
    { name: "own, clip", elements: 70, own: 2, other: 1, times: { of: "own", factor: "clip" } },
    { name: "own, unit", elements: 70, own: 1, other: 0, times: { of: "own", factor: "unit" } },
    {
      name: "other, clip",
      elements: 70,
      own: 0.9,
      other: 3,
      times: { of: "other", factor: "clip" },
    },
    { name: "average", elements: 130, own: 0.999, other: 1 - 0.999, averages: true },
    { name: "more than one turn", elements: 4 * 256 * 1024 + 5, own: 1, other: 1 },
  ],
  modelSizes: [{ name: "4096 by 1024", elements: 4096 * 1024, own: 1, other: 1 }],
  inputs(size, random) {
    const filled = 4 * Math.ceil(size.elements / 4);
    const zeros = (made: Float32Array<ArrayBuffer>) => made.fill(0, size.elements);
    // Many elements repeat a few: to make each would take longer than the kernel.
    const some = random.floats(5003);
    const made = (step: number) =>
      Float32Array.from({ length: filled }, (_, i) => some[(step * i) % some.length]);
    return { ...size, y: pad(zeros(made(1))), x: zeros(made(7)) };
  },
  upload(tensors, { elements, own, other, times, averages, y, x }) {
    const outputs = { y: inPlace(tensors, "y", y, 0, GUARD) };
    const read = tensors.of("x", x);
    const norm = tensors.of("norm", NORM);
    const to = outputs.y.tensor;
    return {
      record: (recorder) =>
        averages
          ? average(recorder, to, read, { elements, kept: own })
          : combine(recorder, to, read, {
            elements,
            own,
            other,
            times: times && { ...times, norm },
          }),
      outputs,
    };
  },
  reference,
  cost: ({ elements }) => ({ multiplyAdds: elements, bytes: 12 * elements }),
});

/** Numbers behind the last group of four, which must stay. */
function pad(y: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const all = new Float32Array(y.length + 8).fill(GUARD);
  all.set(y);
  return all;
}
