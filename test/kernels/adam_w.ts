/** AdamW steps, one after another. */

import { adamW, type AdamWOptions } from "../../src/kernels/adam_w.ts";
import { defineCase } from "./case.ts";
import { inPlace } from "./logit_rows.ts";

interface Size {
  readonly name: string;
  readonly elements: number;
  /** Steps with the same gradient, or with what `clear` leaves of it. */
  readonly steps: number;
  readonly options: Omit<AdamWOptions, "step">;
  /** Step of the first one; default 1. */
  readonly first?: number;
  /** Standard deviation of the gradient; default 1. */
  readonly scale?: number;
  /** The gradient's factor; default 1. */
  readonly clip?: number;
  readonly clear?: boolean;
}

interface Inputs extends Size {
  readonly weight: Float32Array<ArrayBuffer>;
  readonly gradient: Float32Array<ArrayBuffer>;
  readonly m: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
}

/** Stands in words that no step may change: a group of four is filled up with zeros, then come these. */
const GUARD = 77;

/** Algorithm 2 of Loshchilov and Hutter 2019, in f64. */
export function reference(inputs: Inputs) {
  const { elements, steps, options, first = 1, clip = 1, clear = false } = inputs;
  const { rate, beta1, beta2, epsilon, decay } = options;
  const [weight, gradient, m, v] = [inputs.weight, inputs.gradient, inputs.m, inputs.v]
    .map((data) => Float64Array.from(data));
  for (let step = first; step < first + steps; step++) {
    for (let i = 0; i < elements; i++) {
      const g = Math.fround(clip) * gradient[i];
      m[i] = beta1 * m[i] + (1 - beta1) * g;
      v[i] = beta2 * v[i] + (1 - beta2) * g ** 2;
      weight[i] *= 1 - rate * decay;
      weight[i] -= rate * (m[i] / (1 - beta1 ** step)) /
        (Math.sqrt(v[i] / (1 - beta2 ** step)) + epsilon);
      if (clear) gradient[i] = 0;
    }
  }
  return { weight, gradient, m, v };
}

const COMMON = { rate: 1e-2, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0 };

/** Sizes that fill no group of four, and more than all lanes take at once; decay, clipping, late steps. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "adam_w",
  tolerance: 2e-6,
  sizes: [
    { name: "one weight", elements: 1, steps: 1, options: COMMON },
    { name: "first steps", elements: 77, steps: 3, options: COMMON },
    { name: "decay", elements: 64, steps: 3, options: { ...COMMON, decay: 0.1, rate: 0.1 } },
    { name: "clipped", elements: 64, steps: 2, options: COMMON, clip: 0.01, scale: 30 },
    { name: "cleared", elements: 33, steps: 2, options: COMMON, clear: true },
    {
      name: "late",
      elements: 129,
      steps: 2,
      first: 5000,
      options: { ...COMMON, beta2: 0.95, epsilon: 1e-6 },
    },
    { name: "small gradients", elements: 40, steps: 2, options: COMMON, scale: 1e-9 },
  ],
  modelSizes: [{ name: "4096 by 1024", elements: 4096 * 1024, steps: 1, options: COMMON }],
  inputs(size, random) {
    const { elements, scale = 1, first = 1 } = size;
    // Groups of four are filled up with zeros, which stay.
    const filled = (made: Float32Array<ArrayBuffer>) => {
      const all = new Float32Array(4 * Math.ceil(elements / 4) + 8).fill(GUARD);
      all.fill(0, elements, 4 * Math.ceil(elements / 4));
      all.set(made);
      return all;
    };
    const begun = first > 1 ? 1 : 0;
    return {
      ...size,
      weight: filled(random.floats(elements)),
      gradient: filled(random.floats(elements, scale)),
      m: filled(random.floats(elements, begun * 0.1 * scale)),
      v: filled(random.floats(elements, begun * scale).map((value) => value ** 2)),
    };
  },
  upload(tensors, { elements, steps, options, first = 1, clip = 1, clear, ...data }) {
    const { weight, gradient, m, v } = data;
    const outputs = {
      weight: inPlace(tensors, "weight", weight, 0, GUARD),
      gradient: inPlace(tensors, "gradient", gradient, 0, GUARD),
      m: inPlace(tensors, "m", m, 0, GUARD),
      v: inPlace(tensors, "v", v, 0, GUARD),
    };
    const bound = {
      weight: outputs.weight.tensor,
      gradient: outputs.gradient.tensor,
      m: outputs.m.tensor,
      v: outputs.v.tensor,
      norm: tensors.of("norm", Float32Array.of(GUARD, GUARD, clip, GUARD)),
    };
    return {
      record(recorder) {
        for (let step = first; step < first + steps; step++) {
          adamW(recorder, bound, { ...options, elements, step, clear });
        }
      },
      outputs,
    };
  },
  reference,
  cost: ({ elements }) => ({ multiplyAdds: 0, bytes: 28 * elements }),
});
