/** Rows become int8 codes, a scale for each 32 channels. */

import { quantizedRowWords, quantizeRows } from "../../src/kernels/quantize_rows.ts";
import { paddedInner, type QuantisedName, SCHEMES } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference, type Word } from "./case.ts";
import { paddedRows } from "./matrix.ts";

/** A group of 12 words: codes, the scale, nothing. */
const WORDS: readonly Word[] = [
  ...Array<Word>(8).fill("u32"),
  "f32",
  ...Array<Word>(3).fill("u32"),
];

interface Size {
  readonly name: string;
  /** Of the weights that the rows are for; default q8. */
  readonly scheme?: QuantisedName;
  readonly rows: number;
  readonly inner: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** To the nearest integer, halves to the even one, as WGSL's `round`. */
function round(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** Where the code of channel i of a group lies. For q4, even channels of every eight come first. */
function place(i: number, scheme: QuantisedName): number {
  return scheme === "q4" ? (i & ~7) + (i & 1) * 4 + (i >> 1 & 3) : i;
}

/** Rows of codes and scales, and the numbers that they stand for `[rows, paddedInner]`. */
export function quantizedRows({ rows, inner, x, scheme = "q8" }: Omit<Inputs, "name">) {
  const stride = paddedInner(inner);
  const words = quantizedRowWords(inner);
  const packed = new Uint32Array(rows * words);
  const scales = new Float32Array(packed.buffer);
  const codes = new Int8Array(packed.buffer);
  const values = new Float64Array(rows * stride);
  /** Words in which a quotient lies so near a half that a device's rounding may decide. */
  const undecided = new Set<number>();
  for (let row = 0; row < rows; row++) {
    for (let group = 0; 32 * group < inner; group++) {
      const channels = x.subarray(
        row * stride + 32 * group,
        row * stride + Math.min(stride, 32 * group + 32),
      );
      const magnitude = channels.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const at = row * words + 12 * group;
      scales[at + 8] = magnitude / 127;
      channels.forEach((value, i) => {
        const quotient = magnitude > 0 ? value * Math.fround(127 / magnitude) : 0;
        const to = place(i, scheme);
        codes[4 * at + to] = round(quotient);
        if (Math.abs(Math.abs(quotient % 1) - 0.5) < 1e-4) undecided.add(at + (to >> 2));
        values[row * stride + 32 * group + i] = codes[4 * at + to] * scales[at + 8];
      });
    }
  }
  return { packed, values, undecided };
}

/** Groups that are whole, cut short and all zero. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "quantize_rows",
  tolerance: 1e-6,
  sizes: [
    { name: "one by one", rows: 1, inner: 1 },
    { name: "3 rows of 13", rows: 3, inner: 13 },
    { name: "9 rows of 64", rows: 9, inner: 64 },
    { name: "2 rows of 1100", rows: 2, inner: 1100 },
    { name: "3 rows of 13, for q4", rows: 3, inner: 13, scheme: "q4" },
    { name: "9 rows of 64, for q4", rows: 9, inner: 64, scheme: "q4" },
  ],
  modelSizes: [{ name: "128 rows of 1024", rows: 128, inner: 1024 }],
  inputs(size, random) {
    const x = paddedRows(random, size.rows, size.inner, 3);
    if (size.rows > 1) x.fill(0, 0, Math.min(32, size.inner));
    return { ...size, x };
  },
  upload(tensors, { rows, inner, x, scheme = "q8" }) {
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * quantizedRowWords(inner), WORDS);
    const input = tensors.of("x", x);
    return {
      record: (recorder) =>
        quantizeRows(recorder, input, y.tensor, { rows, inner, scheme: SCHEMES[scheme] }),
      outputs: { y },
    };
  },
  reference(inputs) {
    const words = quantizedRowWords(inputs.inner);
    const y = untouchedReference((inputs.rows + GUARD_ROWS) * words, WORDS);
    const { packed, undecided } = quantizedRows(inputs);
    const scales = new Float32Array(packed.buffer);
    packed.forEach((word, i) => y[i] = WORDS[i % 12] === "f32" ? scales[i] : word);
    for (const at of undecided) y[at] = NaN;
    return { y };
  },
  cost: ({ rows, inner }) => ({
    multiplyAdds: 0,
    bytes: 4 * rows * (inner + quantizedRowWords(inner)),
  }),
});
