/** The projection to queries, keys and values in strips. */

import { qkv } from "../../src/kernels/qkv.ts";
import { stripQkv } from "../../src/kernels/strip_qkv.ts";
import { type CaseDeclaration, defineCase } from "./case.ts";
import { declared, type Inputs, type Size, size } from "./qkv.ts";

/** Heads of which half is whole fours; they fill a strip of 64 pairs, lie across two, or leave some over. */
const sizes: readonly Size[] = [
  size(1, 4, 4, 16),
  { ...size(9, 3, 1, 24), scheme: "f32", inner: 13, firstQuery: 3, firstKey: 5 },
  { ...size(17, 6, 2, 32), name: "f16 keys and values", element: "f16", scheme: "f16" },
  { ...size(7, 2, 2, 32), name: "f16, keys and values beyond it", element: "f16", scale: 3e4 },
  { ...size(17, 2, 1, 128), name: "q8, in parts", scheme: "q8", inner: 40, partPairs: 60 },
  { ...size(19, 2, 2, 64), name: "listed", firstKey: 7, listed: true },
  { ...size(9, 3, 1, 16), name: "listed, f16", element: "f16", firstQuery: 3, listed: true },
];

const inStrips = (declaration: CaseDeclaration<Size, Inputs>): CaseDeclaration<Size, Inputs> => ({
  ...declaration,
  kernel: "strip_qkv",
  sizes,
  modelSizes: declaration.modelSizes,
});

export const kernelCase = defineCase<Size, Inputs>(inStrips(declared(stripQkv)));

/** The same in tiles. */
export const inTiles = defineCase<Size, Inputs>(inStrips(declared(qkv)));
