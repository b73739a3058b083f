/** The best tokens of a teacher's rows, and their softmax. */

import source from "../../shaders/top_tokens.wgsl" with { type: "text" };
import rowSoftmax from "../../shaders/lib/row_softmax.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { rowLanes } from "./rms_norm.ts";
import { softmaxLanes } from "./row_softmax.ts";

/** shaders/top_tokens.wgsl */
export const topTokensKernel = defineKernel({
  name: "top_tokens",
  source,
  snippets: [rowSoftmax],
  bindings: { logits: "read", ranked: "write", sums: "write" },
  params: { columns: "u32", stride: "u32", first_row: "u32", count: "u32" },
  constants: { LANES: 32, GROUPS: 8, KEPT: 4, CLASSES: 128 },
});

/** Most tokens of a row that are kept. */
export const MOST_TOP_TOKENS = 64;
/** Words of 4 bytes in a token of `ranked`, and in the sums of a row. */
export const TOP_WORDS = 2;

/**
 * Records the search of the best `count` tokens of each row, ties to the lower token, and the softmax of
 * the whole row. Row r of the logits is entry `firstRow + r` of the others, so that chunks of one batch
 * share them.
 * @param tensors.logits `[rows, stride]`, which stay as they are
 * @param tensors.ranked `[entries, count]` of token and logit, best first; `NO_TOKEN` where none is left
 * @param tensors.sums `[entries]` of the largest logit m, and the sum of exp(l - m) over all tokens but
 * the first with it: the largest probability is 1 over 1 more than that
 * @throws {RangeError} when the count is not from 1 to 64
 */
export function topTokens(
  recorder: Recorder,
  tensors: { readonly logits: Tensor; readonly ranked: Tensor; readonly sums: Tensor },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    /** Entry of the first row; default 0. */
    readonly firstRow?: number;
    readonly count: number;
    /** Lanes of a workgroup, a power of two from 32 to 256 (default: by the device). */
    readonly lanes?: number;
  },
): void {
  const { rows, columns, stride, firstRow = 0, count } = options;
  if (!(count >= 1 && count <= MOST_TOP_TOKENS)) {
    throw new RangeError(`${count} tokens, expected a whole number from 1 to ${MOST_TOP_TOKENS}`);
  }
  const { lanes = Math.max(32, rowLanes(columns, recorder.gpu)) } = options;
  // Twice as many classes as tokens at least, so that few tokens more than asked reach the bound.
  const kept = count <= lanes / 2 ? 1 : count <= lanes ? 2 : 4;
  recorder.dispatch(topTokensKernel, {
    bindings: tensors,
    params: { columns, stride, first_row: firstRow, count },
    constants: {
      ...softmaxLanes(columns, recorder.gpu, lanes),
      KEPT: kept,
      CLASSES: kept * lanes,
    },
    // Read for the largest, their sum, the bound and those that reach it.
    cost: {
      operations: 6 * rows * columns,
      bytes: 4 * rows * (4 * columns + TOP_WORDS * (count + 1)),
    },
    workgroups: [rows],
  });
}
