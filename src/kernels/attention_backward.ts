/** The gradients of attention; scores are made again, so that none of them is kept. */

import type { Recorder } from "../gpu/recorder.ts";
import type { Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import type { AttentionWork, HeadShape } from "./attention.ts";
import { attentionBackwardKeys } from "./attention_backward_keys.ts";
import { attentionBackwardQueries } from "./attention_backward_queries.ts";
import { padHeads } from "./pad_heads.ts";
import { turnUnits } from "./turn_units.ts";

/**
 * Records the gradients of `attention` by queries, keys and values, which are written, not added: in rows of
 * ranges, padding included. No key may be in two ranges.
 * @param tensors.q `[rows, heads, headStride]`, rotated, as `dQ`; zeros beyond `headDim`, as in the others
 * @param tensors.k `[keys, kvHeads, headStride]`, rotated, as `v`, `dK` and `dV`
 * @param tensors.y `[rows, yStride]`, what attention made, as `dY`
 * @param tensors.ranges `[count]` of (first query, queries, first key, keys)
 * @param options.work work of `ranges`, by attentionWork
 * @param options.rows rows of `q`
 * @param options.keys rows of `k`; default as many
 * @param options.apart see attentionBackwardKeys
 * @param options.scratch memory for two numbers a row and head, on a GPU for two copies as large as `q`, and
 * where `headDim` is padded for `y` and `dY` as kernels read them
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
    readonly keys?: number;
    readonly yStride: number;
    readonly scratch: Pick<Scratch, "get">;
    readonly apart?: boolean;
  },
): void {
  const { work, rows, keys = rows, yStride, scratch } = options;
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
  const { q, k, v, ranges } = inputs;
  const ways = { apart: options.apart };
  const shared = { ...inputs, dY: gradients, facts };
  if (recorder.gpu.rowForm === "exchanged") {
    attentionBackwardQueries(recorder, { ...shared, y: heads, dQ }, shape, work);
    attentionBackwardKeys(recorder, { ...shared, dK, dV }, shape, work, ways);
    return;
  }
  /** Rows of a GPU's lanes, which are read again and again; keys take the place of queries. */
  const turned = (x: Tensor, count: number, width: number, name: string) => {
    const y = scratch.get(`${name}, turned`, count * width);
    turnUnits(recorder, x, y, { rows: count, columns: width });
    return y;
  };
  const asked = {
    q: turned(q, rows, columns, "own rows"),
    dY: turned(gradients, rows, columns, "other own rows"),
  };
  const bound = { k, v, ranges, facts };
  const byRow = { turnedRows: rows };
  attentionBackwardQueries(recorder, { ...bound, ...asked, y: heads, dQ }, shape, work, byRow);
  const width = shape.kvHeads * shape.headStride;
  const seen = {
    k: turned(k, keys, width, "own rows"),
    v: turned(v, keys, width, "other own rows"),
  };
  const byKey = { ...ways, turnedRows: keys };
  attentionBackwardKeys(recorder, { ...shared, ...seen, dK, dV }, shape, work, byKey);
}
