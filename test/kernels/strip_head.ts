/** As `head`, in strips: parts of the vocabulary are whole fours. */

import { stripHead } from "../../src/kernels/strip_head.ts";
import { defineCase } from "./case.ts";
import { declared, type Inputs, type Size } from "./head.ts";
import { hostMatrix } from "./matrix.ts";

const declaration = declared(stripHead);

/** The same sizes, with a few tokens more where their number is odd, but those of one token. */
export const kernelCase = defineCase<Size, Inputs>({
  ...declaration,
  kernel: "strip_head",
  sizes: declaration.sizes.filter(({ vocabulary }) => vocabulary > 1)
    .map((size) => ({ ...size, vocabulary: 4 * Math.ceil(size.vocabulary / 4) })),
});

/** Tokens whose logits are beyond f32, so that guidance makes NaN of them. */
const BEYOND = [0, 8];

/** What cannot be compared with others, which nobody may choose. */
export const withNaN = defineCase<Size, Inputs>({
  ...declaration,
  kernel: "strip_head",
  sizes: [{ name: "NaN", entries: 2, vocabulary: 20, inner: 1, scheme: "f32", guidance: 1.5 }],
  inputs(size, random) {
    const inputs = declaration.inputs(size, random);
    inputs.x.forEach((_, i) => inputs.x[i] = i % 8 === 0 ? 2 + i / 8 : 0);
    const values = random.floats(size.vocabulary, 1);
    for (const token of BEYOND) values[token] = 3e38;
    return { ...inputs, matrix: hostMatrix("f32", 1, values) };
  },
  reference(inputs, gpu) {
    const plans = inputs.plans.map((plan) => ({ ...plan, banned: BEYOND }));
    return declaration.reference({ ...inputs, plans }, gpu);
  },
});
