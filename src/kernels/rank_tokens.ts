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
    stride: "u32",
    first_row: "u32",
    k: "u32",
    temperature: "f32",
    seed_low: "u32",
    seed_high: "u32",
    step: "u32",
  },
  constants: { FILTERED: 0, CHANGED: 0 },
});

/** Words of 4 bytes in a ranked token, and in the sums of a row. */
export const RANKED_WORDS = 4;
/** Most tokens of a row that are ranked. */
export const MOST_RANKED = 256;
/** Sweeps over a row, where 32 bits decide: four to count, one to collect, two for a softmax. */
const SWEEPS = 7;

/**
 * Records the search and the sums.
 * @param tensors.raw `[rows, stride]`, logits before changes
 * @param tensors.logits `[rows, stride]`, after them; the same tensor if nothing changes them
 * @param tensors.cutoffs `[rows]`, the least logit that passes; absent: all do
 * @param tensors.positions `[rows]`, which key the noise
 * @param tensors.ranked `[entries, k]` of (token, score, logit, raw logit); `NO_TOKEN` behind the last
 * @param tensors.sums `[entries]` of the softmax's maximum and the sum of its other terms, each for
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
    /** Elements from a row of logits to the next; default `columns`. */
    readonly stride?: number;
    /** Entry of the first row in `ranked` and `sums`; default 0. */
    readonly firstRow?: number;
    readonly k: number;
    readonly temperature: number;
    /** Integer in [0, 2^53). */
    readonly seed: number;
    readonly step: number;
  },
): void {
  const { rows, columns, stride = columns, firstRow = 0, k, temperature, seed, step } = options;
  if (k < 1 || k > MOST_RANKED) {
    throw new RangeError(`k is ${k}, expected a whole number from 1 to ${MOST_RANKED}`);
  }
  const { cutoffs = tensors.logits } = tensors;
  recorder.dispatch(rankTokensKernel, {
    bindings: { ...tensors, cutoffs },
    params: {
      columns,
      stride,
      first_row: firstRow,
      k,
      temperature,
      seed_low: seed >>> 0,
      seed_high: Math.floor(seed / 2 ** 32),
      step,
    },
    constants: {
      FILTERED: tensors.cutoffs ? 1 : 0,
      CHANGED: tensors.raw === tensors.logits ? 0 : 1,
    },
    cost: {
      operations: SWEEPS * rows * columns,
      bytes: 4 * rows * (2 * columns + RANKED_WORDS * (k + 1)),
    },
    workgroups: [rows],
  });
}

/**
 * Records what a teacher's logits are reduced to for {@linkcode distilLoss}: the best `count` tokens of
 * each row with their logits, ties to the lower token, and the softmax of the whole row. They are all
 * that is kept of a teacher. Row r of the logits is entry `firstRow + r`.
 * @param tensors.logits `[rows, stride]`, which stay as they are
 * @param tensors.ranked `[entries, count]` of {@linkcode RANKED_WORDS} words: token, then its logit as
 * the bits of an f32, three times
 * @param tensors.sums `[entries]` of {@linkcode RANKED_WORDS} words: the largest logit m, and the sum of
 * exp(l - m) over all tokens but the first with it, both twice
 * @throws {RangeError} when the count is not from 1 to 256
 */
export function topTokens(
  recorder: Recorder,
  tensors: { readonly logits: Tensor; readonly ranked: Tensor; readonly sums: Tensor },
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly stride: number;
    readonly firstRow?: number;
    readonly count: number;
  },
): void {
  const { logits, ranked, sums } = tensors;
  const { count, ...shape } = options;
  const still = { temperature: 0, seed: 0, step: 0 };
  rankTokens(
    recorder,
    { raw: logits, logits, positions: logits, ranked, sums },
    { ...shape, ...still, k: count },
  );
}
