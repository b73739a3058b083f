/** `c = a b`, or added, with either factor transposed; on a software adapter without texels. */

import { defineCase } from "./case.ts";
import { type ProductInputs, products, type ProductSize } from "./row_products.ts";

export const kernelCase = defineCase<ProductSize, ProductInputs>({
  kernel: "multiply_rows",
  ...products(false),
});
