/** Rows in f16, for linear layers with f16 arithmetic. */

import source from "../../shaders/narrow_rows.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { BLOCK, blocksOf } from "../quant/scheme.ts";

/** shaders/narrow_rows.wgsl */
export const narrowRowsKernel = defineKernel({
  name: "narrow_rows",
  source,
  bindings: { x: "read", y: "write" },
  params: { blocks: "u32" },
});

/** Words of 4 bytes of a row in f16. */
export function narrowedRowWords(inner: number): number {
  return BLOCK * blocksOf(inner) / 2;
}

/**
 * Records the conversion of rows. Beyond 65504 a number becomes infinite, as it does where the lanes of
 * a product convert it.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, narrowedRowWords]`
 */
export function narrowRows(
  recorder: Recorder,
  x: Tensor,
  y: Tensor,
  { rows, inner }: { readonly rows: number; readonly inner: number },
): void {
  const blocks = blocksOf(inner);
  recorder.dispatch(narrowRowsKernel, {
    bindings: { x, y },
    params: { blocks },
    cost: { operations: 0, bytes: 4 * rows * (BLOCK * blocks + narrowedRowWords(inner)) },
    workgroups: [Math.ceil(blocks / 64), rows],
  });
}
