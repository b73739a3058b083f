/** `x[row] = embedding[ids[firstRow + row]]`, or of listed rows. */

import { embed } from "../../src/kernels/embed.ts";
import { paddedInner, type QuantScheme } from "../../src/quant/scheme.ts";
import { defineCase } from "./case.ts";
import { type HostMatrix, randomMatrix, uploadMatrix } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly vocabulary: number;
  readonly inner: number;
  readonly scheme: QuantScheme["name"];
  readonly partColumns?: number;
  /** Ids ahead of the first row. */
  readonly firstRow?: number;
  /** So many ids, of which listed rows are run; default: all rows in turn. */
  readonly listedOf?: number;
}

interface Inputs extends Omit<Size, "scheme"> {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly rowIndex?: Uint32Array<ArrayBuffer>;
  readonly matrix: HostMatrix;
}

/** Rows of the table, each with zeros up to whole blocks. */
export function reference({ rows, firstRow = 0, inner, ids, rowIndex, matrix }: Inputs) {
  const stride = paddedInner(inner);
  const x = new Float64Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    const at = firstRow + row;
    const from = ids[rowIndex?.[at] ?? at] * inner;
    for (let k = 0; k < inner; k++) x[row * stride + k] = matrix.values[from + k];
  }
  return { x };
}

/** First and last token of the table and of its parts, and ids that repeat; copies are exact. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "embed",
  tolerance: 0,
  sizes: [
    { name: "1 row, f32", rows: 1, vocabulary: 1, inner: 1, scheme: "f32" },
    { name: "9 rows, bf16", rows: 9, vocabulary: 37, inner: 20, scheme: "bf16" },
    { name: "17 rows, f16", rows: 17, vocabulary: 5, inner: 264, scheme: "f16" },
    { name: "in parts", rows: 12, vocabulary: 33, inner: 12, scheme: "f32", partColumns: 8 },
    { name: "in parts, f16", rows: 12, vocabulary: 10, inner: 7, scheme: "f16", partColumns: 3 },
    { name: "later rows", rows: 5, firstRow: 7, vocabulary: 40, inner: 20, scheme: "bf16" },
    {
      name: "later rows, in parts",
      rows: 6,
      firstRow: 1,
      vocabulary: 10,
      inner: 9,
      scheme: "f32",
      partColumns: 4,
    },
    {
      name: "listed, later rows, in parts",
      rows: 14,
      firstRow: 3,
      listedOf: 9,
      vocabulary: 30,
      inner: 20,
      scheme: "bf16",
      partColumns: 8,
    },
  ],
  modelSizes: [{ name: "128 rows", rows: 128, vocabulary: 8192, inner: 1024, scheme: "bf16" }],
  inputs({ scheme, ...size }, random) {
    const { rows, firstRow = 0, vocabulary, inner, partColumns = vocabulary } = size;
    const edges = [0, vocabulary - 1, partColumns - 1, Math.min(partColumns, vocabulary - 1)];
    // One id more than rows are run.
    const ids = random.integers(firstRow + rows + 1, vocabulary);
    ids.set(edges.slice(0, rows), firstRow);
    const matrix = randomMatrix(random, scheme, vocabulary, inner);
    const rowIndex = size.listedOf && random.integers(ids.length, size.listedOf);
    return { ...size, ids, matrix, rowIndex: rowIndex || undefined };
  },
  upload(tensors, { rows, firstRow, inner, partColumns, ids, rowIndex: listed, matrix }) {
    const x = tensors.untouched("x", rows * paddedInner(inner));
    const table = uploadMatrix(tensors, matrix, partColumns);
    const tokens = tensors.of("ids", ids);
    const rowIndex = listed && tensors.of("row index", listed);
    return {
      record: (recorder) => embed(recorder, tokens, table, x.tensor, rows, { firstRow, rowIndex }),
      outputs: { x },
    };
  },
  reference,
  cost: ({ rows, inner }) => ({ multiplyAdds: 0, bytes: 6 * rows * paddedInner(inner) }),
});
