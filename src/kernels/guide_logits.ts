/** Combines conditional and unconditional logits. */

import source from "../../shaders/guide_logits.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/guide_logits.wgsl */
export const guideLogitsKernel = defineKernel({
  name: "guide_logits",
  source,
  bindings: { logits: "read", guided: "write" },
  params: { columns: "u32", guidance: "f32" },
});

/** Columns of a workgroup. */
const COLUMNS = 128;

/**
 * Records the combination.
 * @param logits `[rows, 2, columns]`, conditional first
 * @param guided `[rows, columns]`
 * @param options.guidance `cfg_scale + 1`
 */
export function guideLogits(
  recorder: Recorder,
  logits: Tensor,
  guided: Tensor,
  options: { readonly rows: number; readonly columns: number; readonly guidance: number },
): void {
  const { rows, columns, guidance } = options;
  recorder.dispatch(guideLogitsKernel, {
    bindings: { logits, guided },
    params: { columns, guidance },
    cost: { operations: 3 * rows * columns, bytes: 12 * rows * columns },
    workgroups: [Math.ceil(columns / COLUMNS), rows],
  });
}
