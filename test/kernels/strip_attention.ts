/** As `attention`, which chooses it where lanes exchange rows and heads are whole fours. */

import { declaration, type Inputs } from "./attention.ts";
import type { Size } from "./attention_sizes.ts";
import { defineCase } from "./case.ts";

const heads = (count: number, kvHeads: number, headDim: number) => ({
  heads: count,
  kvHeads,
  headDim,
});

/**
 * A lane has two rows where most sequences have many, one where few have, or where there are shadows. Which
 * sequence a workgroup's rows belong to is found on the device, so some have none.
 */
export const kernelCase = defineCase<Size, Inputs>({
  ...declaration,
  kernel: "strip_attention",
  sizes: [
    { name: "one key", ...heads(1, 1, 16), lengths: [1] },
    { name: "two rows a lane", ...heads(2, 1, 20), lengths: [33, 16, 40], keyGap: 2 },
    { name: "few rows", ...heads(2, 2, 32), lengths: [90, 20, 33], queries: [8, 1, 9] },
    { name: "none of some", ...heads(1, 1, 24), lengths: [5, 9, 12], queries: [0, 9, 0] },
    { name: "shadows", ...heads(2, 1, 16), lengths: [20, 3], queries: [17, 2], shadows: true },
    {
      name: "listed in f16",
      ...heads(4, 2, 64),
      element: "f16",
      lengths: [26, 19],
      queries: [26, 8],
      listed: true,
      shared: 4,
    },
    {
      name: "listed in f16, shadows",
      ...heads(1, 1, 128),
      element: "f16",
      lengths: [18],
      queries: [9],
      listed: true,
      shadows: true,
    },
  ],
});
