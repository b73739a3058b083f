/** Applies penalties and biases to the logits of some tokens. */

import source from "../../shaders/adjust_logits.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/adjust_logits.wgsl */
export const adjustLogitsKernel = defineKernel({
  name: "adjust_logits",
  source,
  bindings: { adjustments: "read", logits: "write" },
  params: { columns: "u32", count: "u32" },
});

/** Words of 4 bytes in an `Adjustment`. */
export const ADJUSTMENT_WORDS = 4;
/** An offset at or below which a token is hidden. */
const HIDDEN = -1e38;
/** Adjustments of a workgroup. */
const LANES = 128;

/** What is done to one token's logit; see the shader. */
export interface Adjustment {
  readonly token: number;
  /** Divides a positive logit and multiplies another one; 1 changes nothing. */
  readonly repetition: number;
  /** Added; -Infinity hides the token. */
  readonly offset: number;
}

/** The adjustments as the shader reads them. */
export function adjustmentWords(adjustments: readonly Adjustment[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(ADJUSTMENT_WORDS * adjustments.length);
  const numbers = new Float32Array(words.buffer);
  for (const [i, { token, repetition, offset }] of adjustments.entries()) {
    words[ADJUSTMENT_WORDS * i] = token;
    numbers[ADJUSTMENT_WORDS * i + 1] = repetition;
    numbers[ADJUSTMENT_WORDS * i + 2] = Math.max(offset, HIDDEN);
  }
  return words;
}

/**
 * Records the changes, the same in every row.
 * @param adjustments `[count]`, each token once
 * @param logits `[rows, columns]`
 */
export function adjustLogits(
  recorder: Recorder,
  adjustments: Tensor,
  logits: Tensor,
  options: { readonly rows: number; readonly columns: number; readonly count: number },
): void {
  const { rows, columns, count } = options;
  if (count === 0) return;
  recorder.dispatch(adjustLogitsKernel, {
    bindings: { adjustments, logits },
    params: { columns, count },
    cost: { operations: 2 * rows * count, bytes: 4 * (ADJUSTMENT_WORDS + 2 * rows) * count },
    workgroups: [Math.ceil(count / LANES), rows],
  });
}
