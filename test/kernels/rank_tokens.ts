/** The tokens of each row with the largest scores, and its softmax. */

import { gumbel } from "../../src/denoise/noise.ts";
import { RANKED_WORDS, rankTokens } from "../../src/kernels/rank_tokens.ts";
import { NO_TOKEN } from "../../src/kernels/step_plan.ts";
import { defineCase } from "./case.ts";
import { HIDDEN } from "./head.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  readonly temperature?: number;
  readonly noiseSeed?: number;
  /** Logits are whole numbers around 0, of this many values, and tie. */
  readonly levels?: number;
  /** Standard deviation of the logits; default 5. */
  readonly scale?: number;
  /** The first tokens are hidden by a change. */
  readonly hidden?: number;
  /** The least logit that passes. */
  readonly cutoff?: number;
}

interface Inputs extends Size {
  readonly raw: Float32Array<ArrayBuffer>;
  readonly logits: Float32Array<ArrayBuffer>;
}

const STEP = 3;
const positionOf = (row: number) => 5 + 2 * row;

/** (m, sum of the other terms) of a row, in f64. */
function softmax(row: readonly number[]): [number, number] {
  const peak = row.indexOf(Math.max(...row));
  const others = row.reduce(
    (sum, logit, i) => i === peak ? sum : sum + Math.exp(logit - row[peak]),
    0,
  );
  return [row[peak], others];
}

/** Sorted. */
export function reference(
  { rows, columns, k, raw, logits, temperature = 0, noiseSeed: seed = 0, cutoff = -Infinity }:
    Inputs,
) {
  const ranked: number[] = [];
  const sums: number[] = [];
  for (let row = 0; row < rows; row++) {
    const own = [...logits.subarray(row * columns, (row + 1) * columns)];
    const before = [...raw.subarray(row * columns, (row + 1) * columns)];
    const scores = own.map((logit, token) =>
      temperature === 0 ? logit : logit + temperature * gumbel(seed, STEP, positionOf(row), token)
    );
    const best = [...own.keys()]
      .filter((token) => own[token] > HIDDEN && own[token] >= cutoff)
      .sort((a, b) => scores[b] - scores[a] || a - b)
      .slice(0, k);
    for (let i = 0; i < k; i++) {
      const token = best[i];
      ranked.push(
        ...token === undefined
          ? [NO_TOKEN, 0, 0, 0]
          : [token, scores[token], own[token], before[token]],
      );
    }
    sums.push(...softmax(own), ...softmax(before));
  }
  return { ranked: Float64Array.from(ranked), sums: Float64Array.from(sums) };
}

/** More tokens than are asked for and fewer, ties that the token decides, noise, filters. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "rank_tokens",
  tolerance: 5e-6,
  sizes: [
    { name: "of one", rows: 1, columns: 1, k: 1 },
    { name: "k above all", rows: 3, columns: 33, k: 64 },
    { name: "64 of 1000", rows: 5, columns: 1000, k: 64 },
    { name: "64 of 70,000", rows: 2, columns: 70_000, k: 64, levels: 4000 },
    { name: "256 of 300", rows: 3, columns: 300, k: 256 },
    { name: "ties", rows: 4, columns: 700, k: 64, levels: 5 },
    { name: "all equal", rows: 2, columns: 66_000, k: 64, levels: 1 },
    { name: "noise", rows: 6, columns: 500, k: 64, temperature: 0.8, noiseSeed: 2 ** 40 + 7 },
    { name: "hidden", rows: 4, columns: 129, k: 20, hidden: 50 },
    { name: "filtered", rows: 4, columns: 400, k: 64, cutoff: 4.5, temperature: 1 },
    { name: "close logits", rows: 3, columns: 900, k: 64, scale: 1e-3 },
  ],
  modelSizes: [{ name: "64 of 32 rows of 32768", rows: 32, columns: 32768, k: 64 }],
  inputs(size, random) {
    const { rows, columns, levels, scale = 5, hidden = 0 } = size;
    const raw = levels === undefined
      ? random.floats(rows * columns, scale)
      : Float32Array.from(random.integers(rows * columns, levels), (l) => l - (levels >> 1));
    return { ...size, raw, logits: raw.map((l, i) => i % columns < hidden ? HIDDEN : l) };
  },
  upload(tensors, { rows, columns, k, raw, logits, hidden = 0, cutoff, ...noise }) {
    const { temperature = 0, noiseSeed: seed = 0 } = noise;
    const ranked = tensors.untouched("ranked", RANKED_WORDS * rows * k, [
      "u32",
      "f32",
      "f32",
      "f32",
    ]);
    const sums = tensors.untouched("sums", RANKED_WORDS * rows);
    const read = tensors.of("raw", raw);
    const bound = {
      raw: read,
      logits: hidden === 0 ? read : tensors.of("logits", logits),
      cutoffs: cutoff === undefined
        ? undefined
        : tensors.of("cutoffs", new Float32Array(rows).fill(cutoff)),
      positions: tensors.of("positions", Uint32Array.from({ length: rows }, (_, i) => 5 + 2 * i)),
      ranked: ranked.tensor,
      sums: sums.tensor,
    };
    const options = { rows, columns, k, temperature, seed, step: STEP };
    return {
      record: (recorder) => rankTokens(recorder, bound, options),
      outputs: { ranked, sums },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 8 * rows * columns }),
});
