/** The rows of a canvas on the GPU: which rows a step runs, and the keys and values it keeps. */

import type { CanvasStep } from "../denoise/predictor.ts";
import { type Tensor, tensorOf, upload } from "../gpu/tensor.ts";
import { attentionWork } from "../kernels/attention.ts";
import { type KvCache, mostRows, type RowBatch } from "./forward_pass.ts";
import { createKvCache } from "./kv_cache.ts";
import { type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import type { PackedRows } from "./rows.ts";

/** Several states of one sequence that run in one batch. */
export interface StateBatch {
  readonly batch: RowBatch;
  /** Row of an absolute position in the first state; undefined if the batch does not run it. */
  rowAt(position: number): number | undefined;
  /** Number of rows from one state to the next. */
  readonly stride: number;
}

/** Rows of a canvas's sequences; commits update their ids on the GPU. */
export class CanvasRows {
  /** All rows. */
  readonly batch: RowBatch;
  readonly #context: PredictionContext;
  /** Made at the first refresh. States that run together use the rows after the canvas's own. */
  #kept: { readonly cache: KvCache; readonly rows: number } | undefined;
  /** Attention ranges that were uploaded, by first row and number of rows. */
  readonly #partRanges = new Map<string, Tensor>();

  /** Uploads the rows. */
  constructor(context: PredictionContext, readonly packed: PackedRows) {
    const { gpu } = context;
    this.#context = context;
    this.batch = {
      rows: packed.ids.length,
      firstRow: 0,
      ids: tensorOf(gpu, "canvas ids", packed.ids),
      rowPosition: tensorOf(gpu, "canvas rotation", packed.rowPositions),
      ranges: tensorOf(gpu, "canvas ranges", packed.ranges),
      work: attentionWork(packed.ranges),
    };
  }

  /** The rows that a step runs, and where their keys and values go. */
  batchOf(step: CanvasStep): RowBatch {
    if (step.cache === undefined && step.horizon === undefined) return this.batch;
    const { first, rows, keys } = this.#span(step.cache, step.horizon);
    const kept = step.cache && this.#keptFor(step.cache, this.batch.rows);
    return { ...this.batch, ...this.#range(first, rows, keys), kept };
  }

  /**
   * The rows of several states of the canvas's one sequence. A refresh runs all rows of a single
   * state and keeps its keys and values. A part runs its rows of each state; their keys and values
   * are stored after the kept ones and do not replace them.
   * @param states ids of each state, all of one length; later positions are left out
   */
  batchOfStates(
    states: readonly Uint32Array[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): StateBatch {
    const { first, rows, keys } = this.#span(cache, states[0].length);
    const positions = this.#positions.subarray(first, first + rows);
    const rowOf = new Map(Array.from(positions, (position, row) => [position, row]));
    const place = { rowAt: (position: number) => rowOf.get(position), stride: rows };
    const idsOf = (ids: Uint32Array) => Uint32Array.from(positions, (position) => ids[position]);
    if (cache === "refresh") {
      if (states.length > 1) {
        throw new RangeError(
          "keys and values are kept of one state at a time: refresh with one state",
        );
      }
      const ids = uploadScratch(this.#context, "state ids", idsOf(states[0]));
      const kept = this.#keptFor(cache, this.batch.rows);
      const batch = { ...this.batch, ...this.#range(first, rows, keys), ids, kept };
      return { ...place, batch };
    }
    // Order of the keys: the kept keys of the canvas's rows, then each state's own.
    const own = this.batch.rows;
    const all = own + states.length * rows;
    const kept = this.#keptFor(cache, all);
    const behind = (name: string, ofState: (ids: Uint32Array) => Uint32Array) => {
      const tensor = this.#context.scratch.get(name, all);
      const data = Uint32Array.from(states.flatMap((ids) => [...ofState(ids)]));
      upload(this.#context.gpu, tensor, data, own);
      return tensor;
    };
    const rowPositions = this.packed.rowPositions.subarray(first, first + rows);
    const ranges = Uint32Array.from(states.flatMap((_, i) => [i * rows, rows, 0, keys]));
    return {
      ...place,
      batch: {
        firstRow: own,
        rows: states.length * rows,
        ids: behind("state ids", idsOf),
        rowPosition: behind("state rotation", () => rowPositions),
        ranges: uploadScratch(this.#context, "state ranges", ranges),
        work: attentionWork(ranges),
        fresh: { first, count: rows, row: own },
        kept,
      },
    };
  }

  /** Number of states of a part that fit the device in one batch. */
  mostStates(cache: NonNullable<CanvasStep["cache"]>, length: number): number {
    const { rows } = this.#span(cache, length);
    const { gpu, config } = this.#context;
    return Math.max(1, Math.floor((mostRows(gpu, config) - this.batch.rows) / Math.max(1, rows)));
  }

  /** Every tensor that belongs to the canvas. */
  get tensors(): readonly Tensor[] {
    const { ids, rowPosition, ranges } = this.batch;
    const kept = this.#kept?.cache.layers.flatMap(({ k, v }) => [k, v]) ?? [];
    return [ids, rowPosition, ranges, ...kept, ...this.#partRanges.values()];
  }

  get #positions(): Uint32Array {
    return this.packed.sequences[0].positions;
  }

  /** A batch of rows `[first, first + rows)` of the one sequence, against its first `keys` keys. */
  #span(
    cache: CanvasStep["cache"],
    horizon = Infinity,
  ): { readonly first: number; readonly rows: number; readonly keys: number } {
    if (this.packed.sequences.length > 1 || this.packed.twinRows > 0) {
      throw new RangeError(
        "keys and values are kept, and suffixes pruned, for one sequence without guidance",
      );
    }
    const positions = this.#positions;
    const keys = visibleBefore(positions, horizon);
    const part = typeof cache === "object" ? cache : undefined;
    const first = part ? visibleBefore(positions, part.first) : 0;
    const end = Math.min(keys, part ? visibleBefore(positions, part.end) : keys);
    return { first, rows: end - first, keys };
  }

  /** The fields of a batch for a span of rows; each range is uploaded once. */
  #range(first: number, rows: number, keys: number) {
    const range = Uint32Array.of(0, rows, 0, keys);
    const key = `${first}+${rows} of ${keys}`;
    let ranges = this.#partRanges.get(key);
    if (!ranges) {
      ranges = tensorOf(this.#context.gpu, "canvas part", range);
      this.#partRanges.set(key, ranges);
    }
    return { firstRow: first, rows, ranges, work: attentionWork(range) };
  }

  /** The cache of keys and values, made or enlarged to hold `rows` rows. */
  #keptFor(cache: NonNullable<CanvasStep["cache"]>, rows: number): KvCache {
    const before = this.#kept;
    if (!before && cache !== "refresh") {
      throw new RangeError("no keys and values are kept yet: run a step with cache refresh first");
    }
    if (before && before.rows >= rows) return before.cache;
    const { gpu, config, recorder, kvCache } = this.#context;
    const grown = createKvCache(gpu, config, rows, kvCache);
    for (const [i, { k, v }] of before?.cache.layers.entries() ?? []) {
      recorder.copy(k, grown.layers[i].k);
      recorder.copy(v, grown.layers[i].v);
      recorder.retire(k);
      recorder.retire(v);
    }
    // Submitted now: if the next pass fails, its commands are dropped, and these copies with them.
    if (before) recorder.submit();
    this.#kept = { cache: grown, rows };
    return grown;
  }
}

/** Counts the ascending positions below `end`. */
export function visibleBefore(positions: Uint32Array, end: number): number {
  const first = positions.findIndex((position) => position >= end);
  return first < 0 ? positions.length : first;
}
