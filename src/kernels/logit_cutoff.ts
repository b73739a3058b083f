/** Finds the least logit that top_k, top_p and min_p let pass in each row. */

import source from "../../shaders/logit_cutoff.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { LIST_TOKENS, NO_TOKEN } from "./step_plan.ts";

/** shaders/logit_cutoff.wgsl */
export const logitCutoffKernel = defineKernel({
  name: "logit_cutoff",
  source,
  bindings: { logits: "read", cutoffs: "write" },
  params: {
    columns: "u32",
    top_k: "u32",
    top_p: "f32",
    log_min_p: "f32",
    banned_a: "u32",
    banned_b: "u32",
    banned_c: "u32",
    banned_d: "u32",
  },
  constants: { TOP_K: 1, TOP_P: 1 },
});

/** Filters of a row's tokens; absent ones let every token pass. */
export interface LogitFilters {
  /** Number of tokens that pass, from 1. */
  readonly topK?: number;
  /** Share of the probability that passes, in [0, 1]. */
  readonly topP?: number;
  /** Least probability that passes, as a share of the largest, in [0, 1]. */
  readonly minP?: number;
  /** Tokens that cannot be chosen, at most four. */
  readonly banned?: readonly number[];
}

/** Stands for ln(0): the logit of a hidden token. */
const NO_BOUND = -1e38;
/** Sweeps over a row that find a threshold, one for each bit of a float. */
const BITS = 32;

/**
 * Records the search, the same filters for every row.
 * @param logits `[rows, columns]`
 * @param cutoffs `[rows]`
 * @throws {RangeError} for more than four banned tokens
 */
export function logitCutoff(
  recorder: Recorder,
  logits: Tensor,
  cutoffs: Tensor,
  options: LogitFilters & { readonly rows: number; readonly columns: number },
): void {
  const { rows, columns, topK = 0, topP = 1, minP = 0, banned = [] } = options;
  if (banned.length > LIST_TOKENS) {
    throw new RangeError(`banned: ${banned.length} tokens, at most ${LIST_TOKENS} are possible`);
  }
  const [a = NO_TOKEN, b = NO_TOKEN, c = NO_TOKEN, d = NO_TOKEN] = banned;
  const sweeps = 1 + (topK > 0 ? BITS : 0) + (topP < 1 ? 1 + BITS : 0);
  recorder.dispatch(logitCutoffKernel, {
    bindings: { logits, cutoffs },
    params: {
      columns,
      top_k: topK,
      top_p: topP,
      log_min_p: minP > 0 ? Math.log(minP) : NO_BOUND,
      banned_a: a,
      banned_b: b,
      banned_c: c,
      banned_d: d,
    },
    constants: { TOP_K: topK > 0 ? 1 : 0, TOP_P: topP < 1 ? 1 : 0 },
    cost: { operations: 2 * sweeps * rows * columns, bytes: 4 * rows * (columns + 1) },
    workgroups: [rows],
  });
}
