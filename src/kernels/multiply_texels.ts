/** Products of matrices in f32 on a software adapter; `multiply` of multiply_rows.ts records them. */

import source from "../../shaders/multiply_texels.wgsl" with { type: "text" };
import storeUnits from "../../shaders/lib/store_units.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import { type ProductForm, ROW_PRODUCT_PARAMS } from "./row_product.ts";

/** shaders/multiply_texels.wgsl */
export const multiplyTexelsKernel = defineKernel({
  name: "multiply_texels",
  source,
  snippets: [storeUnits],
  bindings: { a: "texels", b: "texels", c: "write" },
  params: ROW_PRODUCT_PARAMS,
  constants: { A_TRANSPOSED: 0, B_TRANSPOSED: 0, LANES: 32 },
  exchangesRows: true,
});

/** Hosts that compute in place of a GPU have few cores; their subgroups have eight lanes. */
export const TEXELS_FORM: ProductForm = { laneUnits: 2, lanes: [16, 32], workgroups: 4 };
