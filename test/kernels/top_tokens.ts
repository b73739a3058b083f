/** The best tokens of each row, and its softmax. */

import { NO_TOKEN } from "../../src/kernels/step_plan.ts";
import { TOP_WORDS, topTokens } from "../../src/kernels/top_tokens.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, untouchedReference, type Word } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly count: number;
  /** Logits are whole numbers around 0, of this many values, and tie. */
  readonly levels?: number;
  /** Standard deviation of the logits; default 5. */
  readonly scale?: number;
  /** The largest logits stand this many tokens apart, so that few lanes have them. */
  readonly apart?: number;
  /** Entry of the first row. */
  readonly firstRow?: number;
  /** Lanes of a workgroup; those of this device by default. */
  readonly lanes?: number;
}

interface Inputs extends Size {
  readonly logits: Float32Array<ArrayBuffer>;
}

/** Words of a ranked token. */
const RANKED: readonly Word[] = ["u32", "f32"];
/** Stands between rows, and would come first. */
const PADDING = 99;

/** Sorted. */
export function reference({ rows, columns, count, logits, firstRow = 0 }: Inputs) {
  const stride = paddedInner(columns);
  const ranked = [...untouchedReference(TOP_WORDS * firstRow * count, RANKED)];
  const sums = [...untouchedReference(TOP_WORDS * firstRow)];
  for (let row = 0; row < rows; row++) {
    const own = [...logits.subarray(row * stride, row * stride + columns)];
    const best = [...own.keys()].sort((a, b) => own[b] - own[a] || a - b);
    for (let i = 0; i < count; i++) {
      const token = best[i];
      ranked.push(...token === undefined ? [NO_TOKEN, 0] : [token, own[token]]);
    }
    const others = own.reduce(
      (sum, logit, i) => i === best[0] ? sum : sum + Math.exp(logit - own[best[0]]),
      0,
    );
    sums.push(own[best[0]], others);
  }
  return { ranked: Float64Array.from(ranked), sums: Float64Array.from(sums) };
}

/**
 * More tokens than are asked for and fewer, ties that the token decides, so many that they are looked for
 * one by one, and largest logits that all lie with one lane, of every number of lanes.
 */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "top_tokens",
  tolerance: 5e-6,
  sizes: [
    { name: "of one", rows: 2, columns: 1, count: 1 },
    { name: "fewer than are asked for", rows: 3, columns: 33, count: 64 },
    { name: "the best alone", rows: 5, columns: 320, count: 1 },
    { name: "32 of 320, behind others", rows: 3, columns: 320, count: 32, firstRow: 5 },
    { name: "64 of 1000", rows: 5, columns: 1000, count: 64 },
    { name: "32 of 70,001", rows: 2, columns: 70_001, count: 32, levels: 4000 },
    { name: "ties", rows: 4, columns: 700, count: 32, levels: 20 },
    { name: "many ties", rows: 3, columns: 2100, count: 32, levels: 3 },
    { name: "all equal", rows: 2, columns: 600, count: 32, levels: 1 },
    { name: "close logits", rows: 3, columns: 900, count: 32, scale: 1e-3 },
    ...[32, 128, 256].flatMap((lanes) => [
      { name: `64 of 1500, ${lanes} lanes`, rows: 3, columns: 1500, count: 64, lanes },
      { name: `7 of 12, ${lanes} lanes`, rows: 2, columns: 12, count: 7, lanes },
      {
        name: `with one lane of ${lanes}`,
        rows: 2,
        columns: 9000,
        count: 64,
        apart: 8 * lanes,
        lanes,
      },
      { name: `all equal, ${lanes} lanes`, rows: 1, columns: 500, count: 9, levels: 1, lanes },
    ]),
  ],
  modelSizes: [{ name: "32 of 32 rows of 32768", rows: 32, columns: 32768, count: 32 }],
  inputs(size, random) {
    const { rows, columns, levels, scale = 5, apart } = size;
    const stride = paddedInner(columns);
    const made = levels === undefined
      ? random.floats(rows * stride, scale)
      : Float32Array.from(random.integers(rows * stride, levels), (l) => l - (levels >> 1));
    const logits = made.map((logit, i) => {
      const token = i % stride;
      if (token >= columns) return PADDING;
      return apart !== undefined && token % apart === 3 ? logit + 50 : logit;
    });
    return { ...size, logits };
  },
  upload(tensors, { rows, columns, count, logits, firstRow = 0, lanes }) {
    const entries = firstRow + rows;
    const ranked = tensors.untouched("ranked", TOP_WORDS * entries * count, RANKED);
    const sums = tensors.untouched("sums", TOP_WORDS * entries);
    const bound = {
      logits: tensors.of("logits", logits),
      ranked: ranked.tensor,
      sums: sums.tensor,
    };
    const stride = paddedInner(columns);
    const options = { rows, columns, stride, firstRow, count, lanes };
    return {
      record: (recorder) => topTokens(recorder, bound, options),
      outputs: { ranked, sums },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 16 * rows * columns }),
});
