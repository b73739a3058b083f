/** Quantises activations into codes and scales, for linear layers with int8 arithmetic. */

import source from "../../shaders/quantize_rows.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { blocksOf, type QuantScheme } from "../quant/scheme.ts";

/** shaders/quantize_rows.wgsl */
export const quantizeRowsKernel = defineKernel({
  name: "quantize_rows",
  source,
  bindings: { x: "read", y: "write" },
  params: { rows: "u32", blocks: "u32", groups: "u32" },
  constants: { HALVES: 0 },
});

/** Channels that share a scale. */
const GROUP = 32;
/** Words of 4 bytes in a group: eight of codes, one scale, three unused. */
const GROUP_WORDS = 12;

/** Words of 4 bytes of a quantised row. */
export function quantizedRowWords(inner: number): number {
  return GROUP_WORDS * Math.ceil(inner / GROUP);
}

/**
 * Records the quantisation of rows.
 * @param x `[rows, paddedInner]`
 * @param y `[rows, quantizedRowWords]`
 * @param options.scheme of the weights that they will be multiplied with: it decides the codes' order
 */
export function quantizeRows(
  recorder: Recorder,
  x: Tensor,
  y: Tensor,
  { rows, inner, scheme }: {
    readonly rows: number;
    readonly inner: number;
    readonly scheme: Pick<QuantScheme, "bits">;
  },
): void {
  const groups = Math.ceil(inner / GROUP);
  recorder.dispatch(quantizeRowsKernel, {
    bindings: { x, y },
    params: { rows, blocks: blocksOf(inner), groups },
    constants: { HALVES: scheme.bits === 4 ? 1 : 0 },
    // Operations: finding the largest of a group, and dividing each value by it.
    cost: { operations: 3 * rows * inner, bytes: 4 * rows * (inner + groups * GROUP_WORDS) },
    workgroups: [Math.ceil(groups / 32), rows],
  });
}
