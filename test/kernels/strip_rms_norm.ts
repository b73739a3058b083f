/** As `rms_norm`, with columns in fours. */

import { stripRmsNorm } from "../../src/kernels/strip_rms_norm.ts";
import { defineCase } from "./case.ts";
import { declared, type Inputs, type Size } from "./rms_norm.ts";

/** Rows around a workgroup's eight, columns around the eight units that lanes exchange. */
export const kernelCase = defineCase<Size, Inputs>({
  ...declared(stripRmsNorm),
  kernel: "strip_rms_norm",
  sizes: [
    { name: "1 row of 4", xRows: 1, columns: 4, epsilon: 1e-6 },
    { name: "17 rows of 36", xRows: 17, columns: 36, epsilon: 1e-5 },
    { name: "8 rows of 128", xRows: 8, columns: 128, epsilon: 1e-5 },
    { name: "small", xRows: 2, columns: 28, epsilon: 1e-4, scale: 1e-3 },
    { name: "zero", xRows: 2, columns: 20, epsilon: 1e-5, scale: 0 },
    { name: "later rows", xRows: 19, firstRow: 5, columns: 20, epsilon: 1e-5 },
    {
      name: "gathered",
      xRows: 5,
      columns: 12,
      epsilon: 1e-5,
      rowIndex: [4, 0, 0, 3, 9, 2, 4, 1, 1],
    },
  ],
});
