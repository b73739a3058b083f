/** Row-major weights become units of 16 bytes, bits unchanged. */

import { repack } from "../../src/kernels/repack.ts";
import { paddedInner, type QuantScheme, SCHEMES } from "../../src/quant/scheme.ts";
import { defineCase, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly scheme: QuantScheme["name"];
  readonly inner: number;
  /** Columns of the packed matrix. */
  readonly columns: number;
  /** Those that are brought, from `firstColumn` on. */
  readonly chunkColumns: number;
  readonly firstColumn: number;
}

interface Inputs extends Size {
  /** Rows as in a file, whole words. */
  readonly rows: Uint32Array<ArrayBuffer>;
}

/** Unit u of column c holds the column's elements from `u * elementsPerUnit` on; zeros at the end. */
export function reference({ scheme, inner, columns, chunkColumns, firstColumn, rows }: Inputs) {
  const each = SCHEMES[scheme].elementsPerUnit;
  const halves = new Uint16Array(rows.buffer);
  const units = untouchedReference(paddedInner(inner) / each * columns * 4, ["u32"]);
  for (let column = 0; column < chunkColumns; column++) {
    const element = (k: number) => {
      if (k >= inner) return 0;
      return each === 8 ? halves[column * inner + k] : rows[column * inner + k];
    };
    for (let unit = 0; unit < paddedInner(inner) / each; unit++) {
      for (let word = 0; word < 4; word++) {
        const at = 4 * (unit * columns + firstColumn + column) + word;
        const k = unit * each + word * each / 4;
        units[at] = each === 8 ? element(k) + 2 ** 16 * element(k + 1) : element(k);
      }
    }
  }
  return { units };
}

/** Odd inner sizes, so that 16-bit rows start in the middle of a word. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "repack",
  tolerance: 0,
  sizes: [
    {
      name: "one by one, f32",
      scheme: "f32",
      inner: 1,
      columns: 1,
      chunkColumns: 1,
      firstColumn: 0,
    },
    {
      name: "one by one, f16",
      scheme: "f16",
      inner: 1,
      columns: 1,
      chunkColumns: 1,
      firstColumn: 0,
    },
    { name: "odd, bf16", scheme: "bf16", inner: 13, columns: 40, chunkColumns: 33, firstColumn: 5 },
    { name: "even, f16", scheme: "f16", inner: 24, columns: 9, chunkColumns: 9, firstColumn: 0 },
    { name: "odd, f32", scheme: "f32", inner: 21, columns: 70, chunkColumns: 3, firstColumn: 67 },
    { name: "even, f32", scheme: "f32", inner: 16, columns: 8, chunkColumns: 4, firstColumn: 2 },
  ],
  modelSizes: [{
    name: "2 MiB of bf16 rows of 1024",
    scheme: "bf16",
    inner: 1024,
    columns: 1024,
    chunkColumns: 1024,
    firstColumn: 0,
  }],
  inputs(size, random) {
    const words = size.inner * size.chunkColumns * (size.scheme === "f32" ? 1 : 0.5);
    return { ...size, rows: random.integers(Math.ceil(words), 2 ** 32) };
  },
  upload(tensors, { scheme, inner, columns, chunkColumns, firstColumn, rows }) {
    const each = SCHEMES[scheme].elementsPerUnit;
    const units = tensors.untouched("units", paddedInner(inner) / each * columns * 4, ["u32"]);
    const source = tensors.of("rows", rows);
    return {
      record: (recorder) =>
        repack(recorder, source, units.tensor, SCHEMES[scheme], {
          inner,
          chunkColumns,
          firstColumn,
          columns,
        }),
      outputs: { units },
    };
  },
  reference,
  cost: ({ scheme, inner, chunkColumns }) => ({
    multiplyAdds: 0,
    bytes: 2 * chunkColumns * inner * (scheme === "f32" ? 4 : 2),
  }),
});
