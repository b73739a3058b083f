/** Bidirectional attention in one kernel: scores and weights stay in the workgroup's memory. */

import source from "../../shaders/attention.wgsl" with { type: "text" };
import attentionUnits from "../../shaders/lib/attention_units.wgsl" with { type: "text" };
import chunkLength from "../../shaders/lib/chunks.wgsl" with { type: "text" };
import rowsExchanged from "../../shaders/lib/rows_exchanged.wgsl" with { type: "text" };
import rowsUniform from "../../shaders/lib/rows_uniform.wgsl" with { type: "text" };
import { defineKernel, type Element, elementBytes } from "../gpu/kernel.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { fitsScratch, type Scratch } from "../gpu/scratch.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { stripAttentionKernel } from "./strip_attention.ts";
import { mergeAttention, partWords } from "./merge_attention.ts";

/** shaders/attention.wgsl */
export const attentionKernel = defineKernel({
  name: "attention",
  source,
  snippets: [attentionUnits, chunkLength],
  bindings: {
    q: "read",
    k: "read",
    v: "read",
    sequences: "read",
    shadows: "read",
    key_list: "read",
    y: "write",
  },
  params: {
    heads: "u32",
    kv_heads: "u32",
    head_dim: "u32",
    y_stride: "u32",
    scale: "f32",
    row_tiles: "u32",
    chunks: "u32",
  },
  constants: {
    UNITS: 32,
    SHADOWS: 0,
    LISTED: 0,
    QUERY_ROWS: 512,
    HEADS: 1,
    CHUNKED: 1,
    APART: 0,
    LANES: 32,
  },
  usesElement: true,
  rows: { exchanged: rowsExchanged, uniform: rowsUniform },
});

/**
 * Rows of a workgroup, on a GPU and on a software adapter, which runs eight lanes at a time: there more
 * only make work of rows that are not there.
 */
const [LANES, SOFTWARE_LANES] = [32, 8];
/** What a workgroup of two rows a lane costs a software adapter, against one of one. */
const PAIR_COST = 1.6;
/** The first unit of a query that may lie apart: as in the shader. */
const FIRST_APART = 16;

/** Keys of a chunk of a sequence: as in shaders/lib/chunks.wgsl. */
function chunkKeys(keys: number): number {
  return keys <= 1024 ? 64 : keys <= 4096 ? 256 : 1024;
}

/** Most chunks of a sequence with at most so many keys; short ones may have more than long ones. */
function mostChunks(keys: number): number {
  const chunks = (count: number) => Math.ceil(count / chunkKeys(count));
  return Math.max(...[1024, 4096, keys].map((count) => chunks(Math.min(count, keys))));
}

/**
 * Heads whose rows one workgroup makes: of those that read the same KV head, as many as there is room
 * for, so that a key is asked for once for all of them.
 */
function headsTogether({ heads, kvHeads }: HeadShape, queries: number): number {
  const fits = (count: number) => heads / kvHeads % count === 0 && count * queries <= LANES;
  return [32, 16, 8, 4, 2].find(fits) ?? 1;
}

/** Workgroups from which each makes all chunks of its rows: by then a large GPU has work enough. */
const MANY_WORKGROUPS = 256;

/** Keys and values of a call, `[keys, kvHeads, headStride]` each. */
export interface KeysAndValues {
  readonly k: Tensor;
  readonly v: Tensor;
  /** Type that both are kept in; default f32. */
  readonly element?: Element;
}

/** How a row of queries, keys or values is divided into heads. */
export interface HeadShape {
  readonly heads: number;
  /** Query head h reads key/value head `floor(h / (heads / kvHeads))`. */
  readonly kvHeads: number;
  /** Channels of a head, at most 128. */
  readonly headDim: number;
  /** Numbers from one head to the next: headDim rounded up to 8. */
  readonly headStride: number;
}

/** The total work of a call's sequences. */
export interface AttentionWork {
  /** Number of sequences. */
  readonly count: number;
  /** Queries of the sequence that has most. */
  readonly longest: number;
  readonly queries: number;
  /** Keys of the sequence that has most. */
  readonly mostKeys: number;
  /** Sum of all sequences' keys; a shared key counts for each sequence. */
  readonly keys: number;
  /** Sum of all sequences' queries times keys. */
  readonly pairs: number;
  /** Workgroups of eight queries of one sequence, and of sixteen, that have all queries. */
  readonly eights: number;
  readonly sixteens: number;
}

/**
 * The most words of scratch memory that a call takes for chunks of keys, whatever its sequences.
 * @param keys of a sequence at most
 */
export function mostChunkWords(
  gpu: Pick<Gpu, "limits" | "rowForm">,
  shape: HeadShape,
  keys: number,
): number {
  const chunks = gpu.rowForm === "uniform" ? mostChunks(keys) : 1;
  if (chunks === 1) return 0;
  let most = 0;
  for (let queries = 1; queries <= LANES; queries *= 2) {
    const groups = shape.heads / headsTogether(shape, queries);
    // Tiles of all sequences together, while those are few.
    const words = (tiles: number) => partWords({ sequences: tiles, rowTiles: 1, chunks }, shape);
    let tiles = Math.ceil(MANY_WORKGROUPS / groups) - 1;
    while (tiles > 0 && !fitsScratch(gpu, words(tiles))) tiles--;
    most = Math.max(most, words(tiles));
  }
  return most;
}

/** Takes the scratch memory of chunks of keys. */
export function takeChunks(scratch: Pick<Scratch, "get">, words: number): Tensor {
  return scratch.get("attention in chunks", words);
}

/** Adds up the work of ranges: `[count, 4]` of (first query, queries, first key, keys). */
export function attentionWork(ranges: Uint32Array): AttentionWork {
  const work = {
    count: ranges.length / 4,
    longest: 0,
    mostKeys: 0,
    queries: 0,
    keys: 0,
    pairs: 0,
    eights: 0,
    sixteens: 0,
  };
  for (let at = 0; at < ranges.length; at += 4) {
    const [, queries, , keys] = ranges.subarray(at, at + 4);
    work.longest = Math.max(work.longest, queries);
    work.mostKeys = Math.max(work.mostKeys, keys);
    work.queries += queries;
    work.keys += keys;
    work.pairs += queries * keys;
    work.eights += Math.ceil(queries / 8);
    work.sixteens += Math.ceil(queries / 16);
  }
  return work;
}

/**
 * Records attention over a batch of sequences, each within itself (Vaswani et al. 2017, eq. 1).
 * @param q `[queries, heads, headStride]`
 * @param sequences `[count]` of (first query, queries, first key, keys)
 * @param shadows `[queries]` of (hidden key row, added key row): every query of the call sees all
 * keys of its sequence except the first of these rows, and also the second; absent: exactly its
 * sequence's keys
 * @param keyRows rows of k and v, listed: a sequence's keys are `keys` entries from entry (first key) on,
 * and `shadows` names entries; absent: they are rows of k and v themselves. A row may be listed several
 * times. The bits are those of the same keys in a row
 * @param y `[queries, yStride]`
 * @param options.work work of `sequences`
 * @param options.scratch memory for chunks of keys, so that several workgroups can share the keys of few
 * queries; without it one makes all chunks in turn, which gives the same bits
 */
export function attention(
  recorder: Recorder,
  tensors: KeysAndValues & {
    readonly q: Tensor;
    readonly sequences: Tensor;
    readonly shadows?: Tensor;
    readonly keyRows?: Tensor;
    readonly y: Tensor;
  },
  shape: HeadShape,
  options: {
    readonly work: AttentionWork;
    readonly yStride: number;
    readonly scratch?: Pick<Scratch, "get">;
  },
): void {
  const { work, yStride, scratch } = options;
  const { q, k, v, element = "f32", sequences, keyRows } = tensors;
  const { heads, kvHeads, headDim, headStride } = shape;
  const units = headStride / 4;
  // Software adapters have no use for more workgroups.
  const chunked = recorder.gpu.rowForm === "uniform";
  // Queries and sums of larger heads would take all registers of a lane.
  const apart = chunked && units > FIRST_APART;
  const together = chunked ? headsTogether(shape, work.longest) : 1;
  // Operations: scores and weighted sums. Bytes: queries and results, keys and values.
  const cost = (results: number) => ({
    operations: 4 * work.pairs * heads * headDim,
    bytes: headDim * (4 * work.queries * heads * (1 + results) +
      2 * elementBytes(element) * work.keys * kvHeads),
  });
  const bindings = {
    q,
    k,
    v,
    sequences,
    shadows: tensors.shadows ?? sequences,
    key_list: keyRows ?? sequences,
    y: tensors.y,
  };
  const params = {
    heads,
    kv_heads: kvHeads,
    head_dim: headDim,
    y_stride: yStride,
    scale: 1 / Math.sqrt(headDim),
  };
  const listed = keyRows ? 1 : 0;
  const shadowed = tensors.shadows ? 1 : 0;
  if (!chunked && headDim % 4 === 0 && yStride % 4 === 0) {
    const { eights, sixteens } = work;
    const pairs = !shadowed && PAIR_COST * sixteens < eights;
    recorder.dispatch(stripAttentionKernel, {
      bindings,
      element,
      params,
      constants: { UNITS: units, SHADOWS: shadowed, LISTED: listed, PAIRS: pairs ? 1 : 0 },
      cost: cost(1),
      workgroups: [pairs ? sixteens : eights, heads],
    });
    return;
  }
  const lanes = chunked ? LANES : SOFTWARE_LANES;
  const rowTiles = Math.ceil(work.longest / lanes);
  const shared = {
    sequences: work.count,
    rowTiles,
    chunks: chunked ? mostChunks(work.mostKeys) : 1,
  };
  const few = shared.chunks > 1 && rowTiles * (heads / together) * work.count < MANY_WORKGROUPS;
  // Many sequences of few rows each have a tile that is mostly empty.
  const words = partWords(shared, shape);
  const parts = few && fitsScratch(recorder.gpu, words)
    ? scratch && takeChunks(scratch, words)
    : undefined;
  recorder.dispatch(attentionKernel, {
    bindings: { ...bindings, y: parts ?? tensors.y },
    element,
    params: { ...params, row_tiles: rowTiles, chunks: shared.chunks },
    constants: {
      UNITS: units,
      SHADOWS: shadowed,
      LISTED: listed,
      QUERY_ROWS: apart ? lanes * (units - FIRST_APART) : 1,
      HEADS: together,
      CHUNKED: chunked ? 1 : 0,
      APART: parts ? 1 : 0,
      LANES: lanes,
    },
    cost: cost(parts ? shared.chunks : 1),
    workgroups: [rowTiles, heads / together, work.count * (parts ? shared.chunks : 1)],
  });
  if (parts) {
    mergeAttention(recorder, { parts, sequences, y: tensors.y }, shared, { ...shape, yStride });
  }
}
