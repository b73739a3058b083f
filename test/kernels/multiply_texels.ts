/** `c = a b`, or added, with either factor transposed, where rows are exchanged and b lies in texels. */

import { productCase } from "./multiply_rows.ts";

export const kernelCase = productCase("multiply_texels", true);
