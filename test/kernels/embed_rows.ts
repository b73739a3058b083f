/** `x[row] = table[ids[row]]`, of the tokens that a part of the table has. */

import { embedRows } from "../../src/kernels/embed_rows.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

/** A batch of tokens, and a part of their table. */
export interface EmbedSize {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly vocabulary: number;
  /** The part's first token and its number of tokens; default: all. */
  readonly part?: readonly [number, number];
}

interface Inputs extends EmbedSize {
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[vocabulary, paddedInner(columns)]` */
  readonly table: Float32Array<ArrayBuffer>;
}

/** Widths around a workgroup's 128 numbers. */
export const EMBED_SIZES: readonly EmbedSize[] = [
  { name: "one by one", rows: 1, columns: 1, vocabulary: 1 },
  { name: "70 rows of 13", rows: 70, columns: 13, vocabulary: 5 },
  { name: "9 rows of 140", rows: 9, columns: 140, vocabulary: 90 },
  { name: "a part", rows: 40, columns: 24, vocabulary: 17, part: [3, 6] },
];

/** The part of a size. */
export function partOf({ vocabulary, part = [0, vocabulary] }: EmbedSize) {
  return { firstToken: part[0], tokens: part[1] };
}

/** The forward function on any table. */
export function embedded(
  ids: Uint32Array,
  table: ArrayLike<number>,
  stride: number,
): Float64Array {
  return Float64Array.from(
    { length: ids.length * stride },
    (_, i) => table[ids[Math.floor(i / stride)] * stride + i % stride],
  );
}

/** Rows of other tokens, and those behind the last one, stay as they are. */
export function reference(inputs: Inputs) {
  const { rows, columns, ids, table } = inputs;
  const { firstToken, tokens } = partOf(inputs);
  const stride = paddedInner(columns);
  const x = untouchedReference((rows + GUARD_ROWS) * stride);
  const all = embedded(ids, table, stride);
  ids.forEach((id, row) => {
    if (id < firstToken || id >= firstToken + tokens) return;
    x.set(all.subarray(row * stride, (row + 1) * stride), row * stride);
  });
  return { x };
}

export const kernelCase = defineCase<EmbedSize, Inputs>({
  kernel: "embed_rows",
  tolerance: 0,
  sizes: EMBED_SIZES,
  modelSizes: [{ name: "512 rows of 1024", rows: 512, columns: 1024, vocabulary: 2000 }],
  inputs: (size, random) => ({
    ...size,
    ids: random.integers(size.rows, size.vocabulary),
    table: paddedRows(random, size.vocabulary, size.columns),
  }),
  upload(tensors, inputs) {
    const { rows, columns, table } = inputs;
    const part = partOf(inputs);
    const stride = paddedInner(columns);
    const x = tensors.untouched("x", (rows + GUARD_ROWS) * stride);
    const from = part.firstToken * stride;
    const weights = tensors.of("table", table.slice(from, from + part.tokens * stride));
    const ids = tensors.of("ids", inputs.ids);
    return {
      record: (recorder) => embedRows(recorder, ids, weights, x.tensor, { ...part, rows, stride }),
      outputs: { x },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 8 * rows * columns }),
});
