/** `y = silu(x G^T) * (x U^T)` in strips. */

import { swiglu } from "../../src/kernels/swiglu.ts";
import { stripSwiglu } from "../../src/kernels/strip_swiglu.ts";
import { type CaseDeclaration, defineCase } from "./case.ts";
import { declared, type Inputs, type Size } from "./swiglu.ts";

/** Columns around a strip of 64, rows around one of eight. */
const sizes: readonly Size[] = [
  { name: "1 row, bf16", rows: 1, columns: 60, inner: 13, scheme: "bf16" },
  { name: "8 rows, f32", rows: 8, columns: 68, inner: 8, scheme: "f32" },
  { name: "17 rows, q8", rows: 17, columns: 132, inner: 31, scheme: "q8" },
  { name: "70 rows", rows: 70, columns: 68, inner: 16, scheme: "bf16" },
  { name: "large", rows: 4, columns: 20, inner: 16, scheme: "f32", scale: 8 },
  { name: "in parts", rows: 17, columns: 148, inner: 24, scheme: "bf16", partColumns: 64 },
];

const inStrips = (declaration: CaseDeclaration<Size, Inputs>): CaseDeclaration<Size, Inputs> => ({
  ...declaration,
  kernel: "strip_swiglu",
  sizes,
  modelSizes: declaration.modelSizes,
});

export const kernelCase = defineCase<Size, Inputs>(inStrips(declared(stripSwiglu)));

/** The same in tiles. */
export const inTiles = defineCase<Size, Inputs>(inStrips(declared(swiglu)));
