/** Rows of an embedding table in f32, which training changes. */

import source from "../../shaders/embed_rows.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/embed_rows.wgsl */
export const embedRowsKernel = defineKernel({
  name: "embed_rows",
  source,
  bindings: { ids: "read", table: "read", x: "write" },
  params: { units: "u32", first_token: "u32", tokens: "u32" },
});

/** Units of 16 bytes that a workgroup copies: as in the shader. */
export const EMBED_LANES = 32;

/** Rows of a table, or of the part of it that begins at `firstToken`. */
export interface EmbeddingPart {
  /** Numbers of a row of `x` and of the table, a multiple of 4. */
  readonly stride: number;
  /** Rows of this part of the table. */
  readonly tokens: number;
  /** Default 0. */
  readonly firstToken?: number;
}

/**
 * Records `x[row] = table[ids[row] - firstToken]`; rows of tokens outside the part stay as they are.
 * @param ids `[rows]`
 * @param table `[tokens, stride]`
 * @param x `[rows, stride]`
 */
export function embedRows(
  recorder: Recorder,
  ids: Tensor,
  table: Tensor,
  x: Tensor,
  { rows, stride, tokens, firstToken = 0 }: EmbeddingPart & { readonly rows: number },
): void {
  const units = stride / 4;
  recorder.dispatch(embedRowsKernel, {
    bindings: { ids, table, x },
    params: { units, first_token: firstToken, tokens },
    cost: { operations: 0, bytes: 4 * rows * (2 * stride + 1) },
    workgroups: [Math.ceil(units / EMBED_LANES), rows],
  });
}
