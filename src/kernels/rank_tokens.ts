/** Ranks the tokens of each row, for choices that the host makes among the best. */

import source from "../../shaders/rank_tokens.wgsl" with { type: "text" };
import noise from "../../shaders/lib/noise.wgsl" with { type: "text" };
import { defineKernel } from "../gpu/kernel.ts";
import type { Recorder } from "../gpu/recorder.ts";
import type { Tensor } from "../gpu/tensor.ts";

/** shaders/rank_tokens.wgsl */
export const rankTokensKernel = defineKernel({
  name: "rank_tokens",
  source,
  snippets: [noise],
  bindings: {
    raw: "read",
    logits: "read",
    cutoffs: "read",
    positions: "read",
    ranked: "write",
    sums: "write",
  },
  params: {
    columns: "u32",
    k: "u32",
    temperature: "f32",
    seed_low: "u32",
    seed_high: "u32",
    step: "u32",
  },
  constants: { FILTERED: 0, CHANGED: 0, NOISY: 0 },
});

/** Words of 4 bytes in a ranked token, and in the sums of a row. */
export const RANKED_WORDS = 4;
/** Most tokens of a row that are ranked. */
export const MOST_RANKED = 256;
/** Sweeps over a row, where 32 bits decide: four to count, one to collect, two for a softmax. */
const SWEEPS = 7;

/**
 * Records the search and the sums.
 * @param tensors.raw `[rows, columns]`, logits before changes
 * @param tensors.logits `[rows, columns]`, after them; the same tensor if nothing changes them
 * @param tensors.cutoffs `[rows]`, the least logit that passes; absent: all do
 * @param tensors.positions `[rows]`, which key the noise
 * @param tensors.ranked `[rows, k]` of (token, score, logit, raw logit); `NO_TOKEN` behind the last
 * @param tensors.sums `[rows]` of the softmax's maximum and the sum of its other terms, each for
 * logits and raw
 * @throws {RangeError} when k is not from 1 to 256
 */
export function rankTokens(
  recorder: Recorder,
  tensors: {
    readonly raw: Tensor;
    readonly logits: Tensor;
    readonly cutoffs?: Tensor;
    readonly positions: Tensor;
    readonly ranked: Tensor;
    readonly sums: Tensor;
  },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly k: number;
    readonly temperature: number;
    /** Integer in [0, 2^53). */
    readonly seed: number;
    readonly step: number;
  },
): void {
  const { rows, columns, k, temperature, seed, step } = options;
  if (k < 1 || k > MOST_RANKED) {
    throw new RangeError(`k is ${k}, expected a whole number from 1 to ${MOST_RANKED}`);
  }
  const { cutoffs = tensors.logits } = tensors;
  recorder.dispatch(rankTokensKernel, {
    bindings: { ...tensors, cutoffs },
    params: {
      columns,
      k,
      temperature,
      seed_low: seed >>> 0,
      seed_high: Math.floor(seed / 2 ** 32),
      step,
    },
    constants: {
      FILTERED: tensors.cutoffs ? 1 : 0,
      CHANGED: tensors.raw === tensors.logits ? 0 : 1,
      NOISY: temperature > 0 ? 1 : 0,
    },
    cost: {
      operations: SWEEPS * rows * columns,
      bytes: 4 * rows * (2 * columns + RANKED_WORDS * (k + 1)),
    },
    workgroups: [rows],
  });
}
