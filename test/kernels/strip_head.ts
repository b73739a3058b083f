/** As `head`, in strips: parts of the vocabulary are whole fours. */

import { stripHead } from "../../src/kernels/strip_head.ts";
import { defineCase } from "./case.ts";
import { declared, type Inputs, type Size } from "./head.ts";

const declaration = declared(stripHead);

/** The same sizes, with a few tokens more where their number is odd, but those of one token. */
export const kernelCase = defineCase<Size, Inputs>({
  ...declaration,
  kernel: "strip_head",
  sizes: declaration.sizes.filter(({ vocabulary }) => vocabulary > 1)
    .map((size) => ({ ...size, vocabulary: 4 * Math.ceil(size.vocabulary / 4) })),
});
