/** The least logits that the filters of a row let pass. */

import { logitCutoff, type LogitFilters } from "../../src/kernels/logit_cutoff.ts";
import { defineCase } from "./case.ts";
import { HIDDEN } from "./head.ts";

interface Size extends LogitFilters {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  /** Logits are whole numbers from 0 up to this, and tie. */
  readonly levels?: number;
  /** Standard deviation of the logits; default 5. */
  readonly scale?: number;
  /** The first tokens are hidden. */
  readonly hidden?: number;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
}

/** Tokens sorted and added up. NaN where rounding may decide which is the last. */
export function reference(
  { rows, columns, logits, topK, topP, minP, banned = [] }: Inputs,
) {
  const cutoffs = Float64Array.from({ length: rows }, (_, row) => {
    const sorted = [...logits.subarray(row * columns, (row + 1) * columns)]
      .filter((logit, token) => logit > HIDDEN && !banned.includes(token))
      .sort((a, b) => b - a);
    const [most] = sorted;
    let cutoff = HIDDEN;
    let kept = sorted;
    if (topK !== undefined && topK < sorted.length) {
      cutoff = sorted[topK - 1];
      kept = sorted.filter((logit) => logit >= cutoff);
    }
    if (topP !== undefined) {
      const total = kept.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
      let mass = 0;
      const last = kept.findIndex((logit) => {
        mass += Math.exp(logit - most);
        if (Math.abs(mass - topP * total) < 1e-5 * total) cutoff = NaN;
        return mass >= topP * total;
      });
      cutoff = Math.max(cutoff, kept[last]);
    }
    if (minP !== undefined && minP > 0) cutoff = Math.max(cutoff, most + Math.log(minP));
    return cutoff;
  });
  return { cutoffs };
}

/** Each filter alone and all together; ties, hidden and banned tokens, filters that let one pass. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "logit_cutoff",
  tolerance: 5e-6,
  sizes: [
    { name: "of one", rows: 1, columns: 1, topK: 1, topP: 0.5, minP: 0.5 },
    { name: "no filter", rows: 2, columns: 33 },
    { name: "top_k", rows: 9, columns: 300, topK: 40 },
    { name: "top_k of one", rows: 3, columns: 65, topK: 1 },
    { name: "top_k above all", rows: 3, columns: 65, topK: 66 },
    { name: "top_k, ties", rows: 4, columns: 100, topK: 7, levels: 20 },
    { name: "top_p", rows: 12, columns: 300, topP: 0.9, scale: 2 },
    { name: "top_p 0", rows: 3, columns: 64, topP: 0 },
    { name: "top_p, below zero", rows: 4, columns: 129, topP: 0.7, scale: 0.1 },
    { name: "min_p", rows: 5, columns: 63, minP: 0.05 },
    { name: "min_p 1", rows: 2, columns: 63, minP: 1 },
    { name: "all", rows: 16, columns: 500, topK: 50, topP: 0.95, minP: 0.01, scale: 2 },
    {
      name: "hidden and banned",
      rows: 6,
      columns: 200,
      topK: 30,
      topP: 0.8,
      scale: 2,
      hidden: 20,
      banned: [199, 21, 0],
    },
  ],
  modelSizes: [
    { name: "top_k, 32 rows of 32768", rows: 32, columns: 32768, topK: 40 },
    { name: "top_p, 32 rows of 32768", rows: 32, columns: 32768, topP: 0.95 },
  ],
  inputs(size, random) {
    const { rows, columns, levels, scale = 5, hidden = 0 } = size;
    const logits = levels === undefined
      ? random.floats(rows * columns, scale)
      : Float32Array.from(random.integers(rows * columns, levels));
    return { ...size, logits: logits.map((l, i) => i % columns < hidden ? HIDDEN : l) };
  },
  upload(tensors, { rows, columns, logits, topK, topP, minP, banned }) {
    const cutoffs = tensors.untouched("cutoffs", rows);
    const read = tensors.of("logits", logits);
    const options = { rows, columns, topK, topP, minP, banned };
    return {
      record: (recorder) => logitCutoff(recorder, read, cutoffs.tensor, options),
      outputs: { cutoffs },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 4 * rows * columns }),
});
