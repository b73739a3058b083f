/** The gradients of attention; scores are made again, so that none of them is kept. */

import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { AttentionWork, HeadShape } from "./attention.ts";
import { attentionBackwardKeys } from "./attention_backward_keys.ts";
import { attentionBackwardQueries } from "./attention_backward_queries.ts";
import { padHeads } from "./pad_heads.ts";

/**
 * Records the gradients of `attention` by queries, keys and values, which are written, not added: in rows of
 * ranges, padding included. No key may be in two ranges.
 * @param tensors.q `[rows, heads, headStride]`, rotated, as `dQ`; zeros beyond `headDim`, as in the others
 * @param tensors.k `[keys, kvHeads, headStride]`, rotated, as `v`, `dK` and `dV`
 * @param tensors.y `[rows, yStride]`, what attention made, as `dY`
 * @param tensors.ranges `[count]` of (first query, queries, first key, keys)
 * @param options.work work of `ranges`, by attentionWork
 * @param options.rows rows of `q`
 * @param options.apart see attentionBackwardKeys
 * @param options.scratch memory for two numbers a row and head, and where `headDim` is padded for copies
 */
export function attentionBackward(
  recorder: Recorder,
  { y, dY, dQ, dK, dV, ...inputs }: {
    readonly q: Tensor;
    readonly k: Tensor;
    readonly v: Tensor;
    readonly y: Tensor;
    readonly dY: Tensor;
    readonly dQ: Tensor;
    readonly dK: Tensor;
    readonly dV: Tensor;
    readonly ranges: Tensor;
  },
  shape: HeadShape,
  options: {
    readonly work: AttentionWork;
    readonly rows: number;
    readonly yStride: number;
    readonly scratch: Pick<Scratch, "get">;
    readonly apart?: boolean;
  },
): void {
  const { work, rows, yStride, scratch } = options;
  const columns = shape.heads * shape.headStride;
  /** Heads as queries have them: where these are not padded, `y` has them so. */
  const apart = (x: Tensor, name: string) => {
    if (shape.headDim === shape.headStride && yStride === columns) return x;
    const padded = scratch.get(name, rows * columns);
    padHeads(recorder, x, padded, shape, { rows, xStride: yStride });
    return padded;
  };
  const [heads, gradients] = [apart(y, "attention, padded"), apart(dY, "its gradient, padded")];
  const facts = scratch.get("facts of attention's rows", 2 * rows * shape.heads);
  const shared = { ...inputs, facts, dY: gradients };
  attentionBackwardQueries(recorder, { ...shared, y: heads, dQ }, shape, work);
  attentionBackwardKeys(recorder, { ...shared, dK, dV }, shape, work, options);
}
