/** `c = a b`, or added, with either factor transposed, where rows are exchanged and b lies in texels. */

import { defineCase } from "./case.ts";
import { type ProductInputs, products, type ProductSize } from "./row_products.ts";

export const kernelCase = defineCase<ProductSize, ProductInputs>({
  kernel: "multiply_texels",
  ...products(true),
});
