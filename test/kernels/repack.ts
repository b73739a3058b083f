/** Row-major weights become units of 16 bytes, bits unchanged. */

import { repack } from "../../src/kernels/repack.ts";
import {
  paddedInner,
  QUANTISED,
  type QuantScheme,
  SCHEMES,
  storedRowBytes,
} from "../../src/quant/scheme.ts";
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
  const { bits, unitWords } = SCHEMES[scheme];
  const each = 32 / bits;
  const bytes = new Uint8Array(rows.buffer);
  const rowBytes = storedRowBytes(SCHEMES[scheme], inner);
  const words = paddedInner(inner) / each;
  const units = untouchedReference(words * columns, ["u32"]);
  for (let column = 0; column < chunkColumns; column++) {
    const element = (k: number) => {
      if (k >= inner) return 0;
      const at = column * rowBytes + Math.floor(k * bits / 8);
      if (bits === 4) return bytes[at] >> (4 * (k % 2)) & 15;
      return [...bytes.subarray(at, at + bits / 8)].reduceRight((sum, byte) => 256 * sum + byte, 0);
    };
    for (let word = 0; word < words; word++) {
      const unit = Math.floor(word / unitWords) * columns + firstColumn + column;
      let value = 0;
      for (let i = 0; i < each; i++) value += element(word * each + i) * 2 ** (bits * i);
      units[unit * unitWords + word % unitWords] = value;
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
    ...QUANTISED.map((scheme): Size => ({
      name: `odd, ${scheme}`,
      scheme,
      inner: 13,
      columns: 40,
      chunkColumns: 33,
      firstColumn: 5,
    })),
    {
      name: "whole words, q8",
      scheme: "q8",
      inner: 20,
      columns: 9,
      chunkColumns: 8,
      firstColumn: 1,
    },
    {
      name: "whole words, q4",
      scheme: "q4",
      inner: 40,
      columns: 9,
      chunkColumns: 8,
      firstColumn: 1,
    },
    {
      name: "whole words, f16",
      scheme: "f16",
      inner: 10,
      columns: 7,
      chunkColumns: 7,
      firstColumn: 0,
    },
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
    const bytes = size.chunkColumns * storedRowBytes(SCHEMES[size.scheme], size.inner);
    return { ...size, rows: random.integers(Math.ceil(bytes / 4), 2 ** 32) };
  },
  upload(tensors, { scheme, inner, columns, chunkColumns, firstColumn, rows }) {
    const words = paddedInner(inner) * SCHEMES[scheme].bits / 32;
    const units = tensors.untouched("units", words * columns, ["u32"]);
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
    bytes: 2 * chunkColumns * storedRowBytes(SCHEMES[scheme], inner),
  }),
});
