/** A micro-batch on the GPU, and the pieces in which its asked rows meet the head. */

import { type Tensor, upload } from "../../gpu/tensor.ts";
import { type AttentionWork, attentionWork } from "../../kernels/attention.ts";
import type { TrainingBatch } from "../training_batch.ts";
import type { TrainingSpace } from "./training_space.ts";

/** Rows whose logits are in memory together. */
export interface AskedChunk {
  /** First asked row, and their number. */
  readonly first: number;
  readonly rows: number;
  /** `[rows]`: the row of the batch of each. */
  readonly rowIndex: Tensor;
  /** `[rows]`: the place of each among all asked rows. */
  readonly askedIndex: Tensor;
}

/** Rows that ask others for what they know: their positions, and which rows they may ask. */
export interface QueryRows {
  readonly rows: number;
  /** `[rows]` */
  readonly positions: Tensor;
  /** `[sequences, 4]` of (first query, queries, first key, keys) */
  readonly ranges: Tensor;
  readonly work: AttentionWork;
}

/** A micro-batch on the GPU. It is valid until the next one is prepared in the same space. */
export interface PreparedBatch extends QueryRows {
  readonly batch: TrainingBatch;
  readonly ids: Tensor;
  /** Number of asked rows. */
  readonly asked: number;
  readonly chunks: readonly AskedChunk[];
  /** The asked rows alone as queries: nothing behind the last layer's keys reads others. */
  readonly askedQueries: QueryRows;
  /** `[asked]`: the row of each; and `[asked, 3]` of (row, place among the asked, 1). */
  readonly askedRows: Tensor;
  readonly askedLists: Tensor;
  /** `[asked]`: 0, 1, and so on. */
  readonly askedOrder: Tensor;
  /** `[asked]` */
  readonly targets: Tensor;
  /** `[asked]` */
  readonly weights: Tensor;
}

/** A part of a tensor of words starts at a multiple of so many: 256 bytes, as bindings must. */
const ALIGNED = 64;

/** Asked rows of a chunk whose logits, `stride` numbers of each, take at most `bytes`; at least one. */
function chunkRows(stride: number, bytes: number): number {
  const most = Math.max(1, Math.floor(bytes / (4 * stride)));
  return most < ALIGNED ? most : most - most % ALIGNED;
}

/**
 * Checks a batch against what a model and its device can take.
 * @throws {RangeError} naming what is wrong
 */
export function checkBatch(
  batch: TrainingBatch,
  limits: { readonly embeddingSize: number; readonly maxSequenceLength: number },
): void {
  const { ids, positions, ranges, rows, targets, weights } = batch;
  const { embeddingSize, maxSequenceLength } = limits;
  const check = (name: string, list: Uint32Array, end: number, what: string) => {
    const wrong = list.findIndex((value) => value >= end);
    if (wrong < 0) return;
    throw new RangeError(`batch.${name}[${wrong}] is ${list[wrong]}, ${what} ${end}`);
  };
  check("ids", ids, embeddingSize, "the model has ids below");
  check("targets", targets, embeddingSize, "the model has ids below");
  check("positions", positions, maxSequenceLength, "the model has positions below");
  check("rows", rows, ids.length, "the batch has rows below");
  const lengths = {
    positions: [positions, ids],
    targets: [targets, rows],
    weights: [weights, rows],
  };
  for (const [name, [list, of]] of Object.entries(lengths)) {
    if (list.length === of.length) continue;
    throw new RangeError(`batch.${name} has ${list.length} entries, expected ${of.length}`);
  }
  const unordered = rows.findIndex((row, i) => i > 0 && row <= rows[i - 1]);
  if (unordered > 0) {
    throw new RangeError(`batch.rows[${unordered}] is ${rows[unordered]}, expected ascending rows`);
  }
  let next = 0;
  for (let at = 0; at < ranges.length; at += 4) {
    const [first, count, firstKey, keys] = ranges.subarray(at, at + 4);
    if (first !== next || count === 0 || firstKey !== first || keys !== count) {
      throw new RangeError(
        `batch.ranges: sequence ${
          at / 4
        } is (${first}, ${count}, ${firstKey}, ${keys}), expected ` +
          `rows from ${next} on that attend to each other`,
      );
    }
    next += count;
  }
  if (next !== ids.length) {
    throw new RangeError(`batch.ranges cover ${next} rows, the batch has ${ids.length}`);
  }
}

/** The ranges of a batch whose queries are its asked rows alone. */
function askedRanges({ ranges, rows }: TrainingBatch): Uint32Array<ArrayBuffer> {
  const asked = ranges.slice();
  let first = 0;
  for (let at = 0; at < ranges.length; at += 4) {
    const end = ranges[at] + ranges[at + 1];
    let next = first;
    while (next < rows.length && rows[next] < end) next++;
    asked[at] = first;
    asked[at + 1] = next - first;
    first = next;
  }
  return asked;
}

/** How the logits of a batch lie in memory. */
export interface LogitsRoom {
  /** Numbers of a row. */
  readonly logitsStride: number;
  /** Most bytes together; one row always may be. */
  readonly logitsBytes: number;
}

/** Uploads a batch. What is recorded must have been submitted, since it replaces the last one. */
export function prepareBatch(
  { gpu, scratch }: TrainingSpace,
  batch: TrainingBatch,
  { logitsStride, logitsBytes }: LogitsRoom,
): PreparedBatch {
  const put = (name: string, data: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => {
    const tensor = scratch.get(name, data.length);
    upload(gpu, tensor, data);
    return tensor;
  };
  const queries = (
    name: string,
    positions: Uint32Array<ArrayBuffer>,
    ranges: Uint32Array<ArrayBuffer>,
  ): QueryRows => ({
    rows: positions.length,
    positions: put(`${name}positions`, positions),
    ranges: put(`${name}ranges`, ranges),
    work: attentionWork(ranges),
  });
  const asked = batch.rows.length;
  const rows = chunkRows(logitsStride, logitsBytes);
  // Each chunk's rows are bound alone.
  const each = Math.ceil(rows / ALIGNED) * ALIGNED;
  const count = Math.ceil(asked / rows);
  const order = Uint32Array.from({ length: asked }, (_, i) => i);
  const inChunks = (values: Uint32Array) => {
    const index = new Uint32Array(count * each);
    for (let i = 0; i < count; i++) index.set(values.subarray(i * rows, (i + 1) * rows), i * each);
    return index;
  };
  const rowIndex = put("asked rows by chunk", inChunks(batch.rows));
  const askedIndex = put("asked places by chunk", inChunks(order));
  return {
    batch,
    ids: put("ids", batch.ids),
    ...queries("", batch.positions, batch.ranges),
    askedQueries: queries(
      "asked ",
      batch.rows.map((row) => batch.positions[row]),
      askedRanges(batch),
    ),
    asked,
    chunks: Array.from({ length: count }, (_, i) => ({
      first: i * rows,
      rows: Math.min(rows, asked - i * rows),
      rowIndex: rowIndex.part(i * each, each),
      askedIndex: askedIndex.part(i * each, each),
    })),
    askedRows: put("asked rows", batch.rows),
    askedLists: put(
      "asked lists",
      Uint32Array.from([...batch.rows].flatMap((row, i) => [row, i, 1])),
    ),
    askedOrder: put("asked order", order),
    targets: put("targets", batch.targets),
    weights: put("weights", batch.weights),
  };
}
