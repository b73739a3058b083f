/** `y = x W^T` in strips, plain or added. */

import { matmul } from "../../src/kernels/matmul.ts";
import { stripMatmul } from "../../src/kernels/strip_matmul.ts";
import { type CaseDeclaration, defineCase } from "./case.ts";
import { declared, type Inputs, type Size } from "./matmul.ts";

/** Columns around a strip of 128, rows around one of eight. */
const sizes: readonly Size[] = [
  { name: "1 row, f32", rows: 1, columns: 132, inner: 40, scheme: "f32" },
  { name: "8 rows, f16", rows: 8, columns: 124, inner: 13, scheme: "f16" },
  { name: "9 rows, bf16", rows: 9, columns: 4, inner: 7, scheme: "bf16", extra: 4 },
  { name: "33 rows, q4", rows: 33, columns: 260, inner: 96, scheme: "q4" },
  { name: "17 rows, bf16, added", rows: 17, columns: 128, inner: 72, scheme: "bf16", add: true },
  {
    name: "in parts, added",
    rows: 10,
    columns: 100,
    inner: 30,
    scheme: "bf16",
    partColumns: 12,
    add: true,
    extra: 8,
  },
];

const inStrips = (declaration: CaseDeclaration<Size, Inputs>): CaseDeclaration<Size, Inputs> => ({
  ...declaration,
  kernel: "strip_matmul",
  sizes,
  modelSizes: declaration.modelSizes.filter(({ arithmetic = "f32" }) => arithmetic === "f32"),
});

export const kernelCase = defineCase<Size, Inputs>(inStrips(declared(stripMatmul)));

/** The same in tiles. */
export const inTiles = defineCase<Size, Inputs>(inStrips(declared(matmul)));
