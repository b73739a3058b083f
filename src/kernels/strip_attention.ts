/** Bidirectional attention on a software adapter. */

import source from "../../shaders/strip_attention.wgsl" with { type: "text" };
import stripAttentionUnits from "../../shaders/lib/strip_attention_units.wgsl" with {
  type: "text",
};
import { defineKernel } from "../gpu/kernel.ts";

/** shaders/strip_attention.wgsl */
export const stripAttentionKernel = defineKernel({
  name: "strip_attention",
  source,
  snippets: [stripAttentionUnits],
  bindings: {
    q: "read",
    k: "read",
    v: "read",
    sequences: "read",
    shadows: "read",
    key_list: "read",
    y: "write",
  },
  params: {
    heads: "u32",
    kv_heads: "u32",
    head_dim: "u32",
    y_stride: "u32",
    scale: "f32",
  },
  constants: { UNITS: 32, SHADOWS: 0, LISTED: 0, PAIRS: 0 },
  usesElement: true,
  exchangesRows: true,
});
