/**
 * The weights of a pruned model, as a checkpoint whose bytes are gathered from the original's when they
 * are read: it can be loaded without a folder, and written as one, in bounded memory.
 */

import { byteSize } from "../../gpu/dtype.ts";
import { familyOf } from "../../model/family.ts";
import type { FloatTensor, ModelConfig } from "../../model/model_config.ts";
import { Checkpoint, type TensorFile } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
import { prunedConfig, type Pruning } from "./pruning.ts";

/** Bytes of the original that are read at once, where only parts of them are kept. */
const READ_BYTES = 4 * 2 ** 20;

/** Where a tensor comes from: all of another one, or the rows or the columns of these neurons. */
interface Source {
  readonly from: TensorSlice;
  readonly rows?: Uint32Array;
  readonly columns?: Uint32Array;
}

/**
 * Opens the weights of what is kept. They can be read as long as the original is open.
 * @param config of the original, which stores floats
 * @throws {CheckpointError} when the original lacks a tensor
 */
export function prunedCheckpoint(
  original: Checkpoint,
  config: ModelConfig,
  pruning: Pruning,
): Checkpoint {
  const file = `${original.file}, pruned`;
  return new Checkpoint(file, [new PrunedWeights(file, original, config, pruning)]);
}

/** Pairs of what the pruned model holds and what that is in the original. */
function* counterparts(
  config: ModelConfig,
  pruning: Pruning,
): Generator<readonly [pruned: FloatTensor, original: FloatTensor], void> {
  const family = familyOf(config);
  const originals = Map.groupBy(family.tensors(config), ({ layer }) => layer);
  const pruned = Map.groupBy(family.tensors(prunedConfig(config, pruning)), ({ layer }) => layer);
  // A family lists every layer's tensors in the same order.
  for (const [layer, tensors] of pruned) {
    const from = originals.get(layer === undefined ? undefined : pruning.layers[layer])!;
    for (const [i, tensor] of tensors.entries()) yield [tensor, from[i]];
  }
}

class PrunedWeights implements TensorFile {
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  readonly #sources = new Map<string, Source>();
  readonly #original: Checkpoint;
  /** Rows of the original, reused from call to call. */
  readonly #read = new Uint8Array(READ_BYTES);

  constructor(
    readonly file: string,
    original: Checkpoint,
    config: ModelConfig,
    pruning: Pruning,
  ) {
    this.#original = original;
    const tensors = new Map<string, TensorSlice>();
    for (const [{ name, shape, layer, neuronAxis }, whole] of counterparts(config, pruning)) {
      const from = original.tensor(whole.name, { shape: whole.shape });
      const axis = pruning.neurons[0].length === config.ffnSize ? undefined : neuronAxis;
      this.#sources.set(name, {
        from,
        rows: axis === 0 ? pruning.neurons[layer!] : undefined,
        columns: axis === 1 ? pruning.neurons[layer!] : undefined,
      });
      const byteLength = shape.reduce((product, size) => product * size, byteSize(from.dtype));
      tensors.set(name, { name, dtype: from.dtype, shape, file, byteOffset: 0, byteLength });
    }
    this.tensors = tensors;
  }

  readInto(slice: TensorSlice, target: Uint8Array, offset = 0): void {
    if (offset < 0 || offset + target.length > slice.byteLength) {
      const range = `[${offset}, ${offset + target.length})`;
      throw new RangeError(`bytes ${range} of ${slice.name}, which has ${slice.byteLength}`);
    }
    const { from, rows, columns } = this.#sources.get(slice.name)!;
    if (rows) this.#gatherRows(from, rows, target, offset);
    else if (columns) this.#gatherColumns(from, columns, target, offset);
    else this.#original.readInto(from, target, offset);
  }

  // deno-lint-ignore require-await -- errors must reach the caller as rejections
  async loadInto(slice: TensorSlice, target: Uint8Array, offset = 0): Promise<void> {
    this.readInto(slice, target, offset);
  }

  /** The original is closed by who opened it. */
  [Symbol.dispose](): void {}

  /** Reads rows; neighbours in one call. */
  #gatherRows(from: TensorSlice, rows: Uint32Array, target: Uint8Array, offset: number): void {
    const rowBytes = from.byteLength / from.shape[0];
    for (let done = 0; done < target.length;) {
      const at = offset + done;
      const first = Math.floor(at / rowBytes);
      const within = at - first * rowBytes;
      let last = first;
      while (last + 1 < rows.length && rows[last + 1] === rows[last] + 1) last++;
      const run = (last + 1 - first) * rowBytes - within;
      const piece = target.subarray(done, Math.min(target.length, done + run));
      this.#original.readInto(from, piece, rows[first] * rowBytes + within);
      done += piece.length;
    }
  }

  /** Reads whole rows, and keeps some columns. */
  #gatherColumns(
    from: TensorSlice,
    columns: Uint32Array,
    target: Uint8Array,
    offset: number,
  ): void {
    const element = byteSize(from.dtype);
    const rowBytes = from.byteLength / from.shape[0];
    const keptBytes = columns.length * element;
    const atOnce = Math.max(1, Math.floor(READ_BYTES / rowBytes));
    const end = offset + target.length;
    for (let at = offset; at < end;) {
      const row = Math.floor(at / keptBytes);
      const rows = Math.min(atOnce, Math.ceil(end / keptBytes) - row);
      const read = rows * rowBytes <= READ_BYTES
        ? this.#read.subarray(0, rows * rowBytes)
        : new Uint8Array(rowBytes);
      this.#original.readInto(from, read, row * rowBytes);
      for (const stop = Math.min(end, (row + rows) * keptBytes); at < stop;) {
        const from = Math.floor(at / keptBytes);
        const piece = target.subarray(at - offset, Math.min(stop, (from + 1) * keptBytes) - offset);
        const start = (from - row) * rowBytes;
        pick(read.subarray(start, start + rowBytes), columns, element, piece, at % keptBytes);
        at += piece.length;
      }
    }
  }
}

/**
 * Picks columns of one row.
 * @param element bytes of an element
 * @param target the bytes of the picked row from its byte `first` on
 */
function pick(
  row: Uint8Array,
  columns: Uint32Array,
  element: number,
  target: Uint8Array,
  first: number,
): void {
  const aligned = [row.byteOffset, target.byteOffset, target.length, first]
    .every((at) => at % element === 0);
  if (aligned && (element === 2 || element === 4)) {
    const View = element === 2 ? Uint16Array : Uint32Array;
    const elements = (bytes: Uint8Array) =>
      new View(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / element);
    const [values, picked, from] = [elements(row), elements(target), first / element];
    for (let i = 0; i < picked.length; i++) picked[i] = values[columns[from + i]];
    return;
  }
  for (let i = 0; i < target.length; i++) {
    const at = first + i;
    target[i] = row[columns[Math.floor(at / element)] * element + at % element];
  }
}
