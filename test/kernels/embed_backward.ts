/** The gradient of an embedding table: each token's rows are added to its own. */

import { embedBackward, tokenRows } from "../../src/kernels/embed_backward.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { defineCase, GUARD_ROWS, UNTOUCHED_F32 } from "./case.ts";
import { EMBED_SIZES, embedded, type EmbedSize, partOf } from "./embed_rows.ts";
import { weightedSum } from "./finite_differences.ts";
import { paddedRows } from "./matrix.ts";

interface Inputs extends EmbedSize {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly dX: Float32Array<ArrayBuffer>;
  /** `[vocabulary + guard rows, stride]`: what is there before. */
  readonly dTable: Float32Array<ArrayBuffer>;
}

/** The whole table's gradient. */
function gradient({ ids, dX, columns, vocabulary }: Inputs): Float64Array {
  const stride = paddedInner(columns);
  const sums = new Float64Array(vocabulary * stride);
  ids.forEach((id, row) => {
    for (let k = 0; k < stride; k++) sums[id * stride + k] += dX[row * stride + k];
  });
  return sums;
}

/** What was there, and the gradient of the part's tokens. */
export function reference(inputs: Inputs) {
  const { firstToken, tokens } = partOf(inputs);
  const stride = paddedInner(inputs.columns);
  const d_table = Float64Array.from(inputs.dTable);
  const sums = gradient(inputs);
  for (let i = 0; i < tokens * stride; i++) d_table[i] += sums[firstToken * stride + i];
  return { d_table };
}

export const kernelCase = defineCase<EmbedSize, Inputs>({
  kernel: "embed_backward",
  tolerance: 2e-6,
  sizes: EMBED_SIZES,
  modelSizes: [{ name: "512 rows of 1024", rows: 512, columns: 1024, vocabulary: 2000 }],
  inputs(size, random) {
    const stride = paddedInner(size.columns);
    const { tokens } = partOf(size);
    return {
      ...size,
      ids: random.integers(size.rows, size.vocabulary),
      dX: paddedRows(random, size.rows, size.columns),
      dTable: random.floats((tokens + GUARD_ROWS) * stride).fill(UNTOUCHED_F32, tokens * stride),
    };
  },
  upload(tensors, inputs) {
    const { rows, columns, ids, dX, dTable } = inputs;
    const sorted = tokenRows(ids);
    const bound = {
      lists: tensors.of("lists", sorted.lists),
      rows: tensors.of("rows", sorted.rows),
      dX: tensors.of("d_x", dX),
      dTable: tensors.of("d_table", dTable),
    };
    const options = {
      ...partOf(inputs),
      rows,
      stride: paddedInner(columns),
      lists: sorted.lists.length / 3,
    };
    return {
      record: (recorder) => embedBackward(recorder, bound, options),
      outputs: { d_table: { tensor: bound.dTable, length: dTable.length, words: ["f32"] } },
    };
  },
  reference,
  differences(inputs) {
    const stride = paddedInner(inputs.columns);
    const table = Float64Array.from({ length: inputs.vocabulary * stride }, (_, i) => Math.cos(i));
    return {
      variables: { table },
      value: ({ table }) => weightedSum(embedded(inputs.ids, table, stride), inputs.dX),
      gradients: { table: gradient(inputs) },
    };
  },
  cost: ({ rows, columns }) => ({ multiplyAdds: rows * columns, bytes: 8 * rows * columns }),
});
