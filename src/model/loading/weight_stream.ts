/**
 * Streams weights from a checkpoint and converts them to the layout that kernels read. While one
 * chunk is uploaded and converted on the GPU, other threads read the next ones.
 */

import type { Gpu } from "../../gpu/device.ts";
import { byteSize, type FloatDType, toF32 } from "../../gpu/dtype.ts";
import { Readback } from "../../gpu/readback.ts";
import type { Recorder } from "../../gpu/recorder.ts";
import { createTensor, type Tensor, upload } from "../../gpu/tensor.ts";
import { UploadRing } from "../../gpu/upload_ring.ts";
import { findNotFinite } from "../../kernels/find_not_finite.ts";
import type { PartTensors } from "../../kernels/weight_binding.ts";
import { quantize } from "../../kernels/quantize.ts";
import { repack, repackScales } from "../../kernels/repack.ts";
import { groupsOf, type QuantScheme, storedRowBytes } from "../../quant/scheme.ts";
import { type Checkpoint, CheckpointError } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";

/** Called while loading with the bytes uploaded so far and the bytes of all. */
export type LoadProgress = (done: number, total: number) => void;

/** The part of a checkpoint that loading needs. */
export type WeightSource = Pick<
  Checkpoint,
  "byteLength" | "tensor" | "tensors" | "loadInto" | "read"
>;

/** A matrix `[out, inner]` as it is stored. */
export interface StoredMatrix {
  readonly codes: TensorSlice;
  /** Scales of a quantised matrix, `[out, groups]` f16. */
  readonly scales?: TensorSlice;
}

/** Chunks in host memory: one is uploaded while the others are read. */
const CHUNKS = 3;
const CHUNK_BYTES = 4 * 2 ** 20;
/** Uploaded chunks that may wait for the GPU. */
const UPLOADS = 8;

/** Rows of a chunk whose columns lie side by side on the GPU. */
interface Run {
  /** First row, counted from the chunk's first. */
  readonly firstRow: number;
  readonly rows: number;
  readonly firstColumn: number;
}

/** Rows of one matrix that follow each other in the file and go to one part. */
class Chunk {
  readonly runs: Run[] = [];
  readonly whenSubmitted: (() => void)[] = [];
  rows = 0;

  constructor(
    readonly matrix: StoredMatrix,
    readonly inner: number,
    readonly part: PartTensors,
    readonly scheme: QuantScheme,
    /** Width of the part. */
    readonly columns: number,
    /** First row of the chunk in the matrix. */
    readonly firstRow: number,
  ) {}

  get stored(): FloatDType {
    return this.matrix.codes.dtype as FloatDType;
  }

  /** Whether the host widens rows to f32, which matrices of different types read as one need. */
  get widened(): boolean {
    return !this.scheme.group && this.stored !== this.scheme.dtype;
  }

  /** Bytes of a row of codes, or of floats. */
  get rowBytes(): number {
    const { matrix, inner, scheme } = this;
    return matrix.scales ? storedRowBytes(scheme, inner) : inner * byteSize(this.stored);
  }

  /** Bytes of a row of stored scales. */
  get scaleBytes(): number {
    return this.matrix.scales ? 2 * groupsOf(this.scheme, this.inner) : 0;
  }

  /** Bytes of a row in the staging buffer. */
  get stagedRowBytes(): number {
    return this.widened ? 4 * this.inner : this.rowBytes;
  }
}

/** A chunk whose bytes are being read. */
interface Reading {
  readonly chunk: Chunk;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Offset of the scales in `bytes`. */
  readonly scalesAt: number;
  readonly reads: readonly Promise<void>[];
}

/** Staging bytes that the largest matrix can need; a chunk never holds rows of two matrices. */
function mostStagedBytes(source: WeightSource, alignment: number): number {
  let largest = 0;
  for (const { byteLength } of source.tensors.values()) largest = Math.max(largest, byteLength);
  // 16-bit rows may be widened to f32. Scales follow their codes and are no larger.
  return Math.ceil((2 * largest + alignment) / alignment) * alignment;
}

/** The error for a tensor whose numbers are not all finite. */
export function notFinite({ file, name: tensor }: TensorSlice): CheckpointError {
  const found = "not finite in every weight: some are infinite or no numbers";
  return new CheckpointError({ file, tensor, found, expected: "finite weights" });
}

/** Streams rows, a few megabytes at a time. */
export class WeightStream implements AsyncDisposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #source: WeightSource;
  readonly #progress: LoadProgress | undefined;
  readonly #free: Uint8Array<ArrayBuffer>[];
  readonly #staging: Tensor;
  /** A word of each tensor of the source, 1 where a weight is not finite. */
  readonly #notFinite: Tensor;
  readonly #order: ReadonlyMap<TensorSlice, number>;
  readonly #alignment: number;
  /** The chunk that can still grow, if the next rows follow it in the file. */
  #open: Chunk | undefined;
  /** Chunks being read, in the order of their uploads. */
  #readings: Reading[] = [];
  #done = 0;
  readonly #ring: UploadRing;

  constructor(gpu: Gpu, recorder: Recorder, source: WeightSource, progress?: LoadProgress) {
    this.#gpu = gpu;
    this.#recorder = recorder;
    this.#source = source;
    this.#progress = progress;
    this.#alignment = gpu.limits.minStorageBufferOffsetAlignment;
    const bytes = Math.min(
      CHUNK_BYTES,
      gpu.limits.maxStorageBufferBindingSize,
      mostStagedBytes(source, this.#alignment),
    );
    this.#free = Array.from({ length: CHUNKS }, () => new Uint8Array(bytes));
    this.#staging = createTensor(gpu, "upload", bytes / 4);
    this.#order = new Map([...source.tensors.values()].map((slice, i) => [slice, i]));
    this.#notFinite = createTensor(gpu, "weights that are not finite", this.#order.size);
    const uploads = Math.min(UPLOADS, Math.ceil(source.byteLength / bytes));
    this.#ring = new UploadRing(gpu, uploads, bytes);
  }

  /** A small tensor, widened to f32. */
  vector(slice: TensorSlice): Float32Array<ArrayBuffer> {
    this.advance(slice.byteLength);
    const values = toF32(this.#source.read(slice), slice.dtype);
    if (!values.every(Number.isFinite)) throw notFinite(slice);
    return values;
  }

  /** A table made on the host, at a tensor's start. */
  table(to: Tensor, make: () => Float32Array<ArrayBuffer>): void {
    upload(this.#gpu, to, make());
  }

  /**
   * Copies rows [from, to) of a stored matrix to columns of a part. {@linkcode finish} waits for
   * it.
   * @param at.firstColumn column of row `from`
   * @throws {CheckpointError} when the file is cut short, in these rows or earlier ones
   */
  async fill(
    matrix: StoredMatrix,
    inner: number,
    from: number,
    to: number,
    part: PartTensors,
    scheme: QuantScheme,
    at: { readonly firstColumn: number; readonly columns: number },
  ): Promise<void> {
    for (let row = from; row < to;) {
      if (this.#open && !this.#goesOn(this.#open, matrix, part, row)) await this.#read();
      this.#open ??= new Chunk(matrix, inner, part, scheme, at.columns, row);
      const chunk: Chunk = this.#open;
      const rows = Math.min(this.#most(chunk) - chunk.rows, to - row);
      const firstColumn = at.firstColumn + row - from;
      chunk.runs.push({ firstRow: chunk.rows, rows, firstColumn });
      chunk.rows += rows;
      row += rows;
      if (chunk.rows === this.#most(chunk)) await this.#read();
    }
  }

  /** Calls back when all that {@linkcode fill} was asked for so far is submitted. */
  whenSubmitted(submitted: () => void): void {
    const last = this.#open ?? this.#readings.at(-1)?.chunk;
    if (last) last.whenSubmitted.push(submitted);
    else submitted();
  }

  /**
   * Waits until everything is on the GPU.
   * @throws {CheckpointError} naming a tensor with a weight that is not finite
   * @throws {GpuError} when the device failed
   */
  async finish(): Promise<void> {
    if (this.#open) await this.#read();
    while (this.#readings.length > 0) await this.#upload();
    await this.#ring.wait();
    using readback = new Readback(this.#gpu);
    const found = new Uint32Array(await readback.read(this.#recorder, this.#notFinite));
    for (const [slice, i] of this.#order) if (found[i] !== 0) throw notFinite(slice);
    // Tensors that nothing uses are not read.
    const left = this.#source.byteLength - this.#done;
    if (left > 0) this.advance(left);
  }

  /** Adds bytes that were not read by this stream to the progress. */
  advance(bytes: number): void {
    this.#done += bytes;
    this.#progress?.(this.#done, this.#source.byteLength);
  }

  /** Number of rows that fit a chunk. */
  #most(chunk: Chunk): number {
    const room = this.#staging.byteLength - (chunk.matrix.scales ? this.#alignment : 0);
    return Math.max(1, Math.floor(room / (chunk.stagedRowBytes + chunk.scaleBytes)));
  }

  /** Whether a row follows a chunk's last one, at an offset where kernels can be bound. */
  #goesOn(chunk: Chunk, matrix: StoredMatrix, part: PartTensors, row: number): boolean {
    const { rows, stagedRowBytes, scaleBytes } = chunk;
    return chunk.matrix.codes === matrix.codes && chunk.part === part &&
      chunk.firstRow + rows === row &&
      rows * stagedRowBytes % this.#alignment === 0 && rows * scaleBytes % this.#alignment === 0;
  }

  /** Starts to read the open chunk. */
  async #read(): Promise<void> {
    const chunk = this.#open!;
    this.#open = undefined;
    while (this.#free.length === 0) await this.#upload();
    const bytes = this.#free.pop()!;
    const { matrix: { codes, scales }, firstRow, rows, rowBytes, scaleBytes } = chunk;
    const length = rows * rowBytes;
    const scalesAt = Math.ceil(length / this.#alignment) * this.#alignment;
    const load = (slice: TensorSlice, at: number, width: number) => {
      const target = bytes.subarray(at, at + rows * width);
      const read = this.#source.loadInto(slice, target, firstRow * width);
      // A read error is thrown later, when the chunk is uploaded.
      read.catch(() => {});
      return read;
    };
    const reads = [load(codes, 0, rowBytes)];
    if (scales) reads.push(load(scales, scalesAt, scaleBytes));
    this.#readings.push({ chunk, bytes, scalesAt, reads });
  }

  /** Uploads and converts the chunk that has waited longest. */
  async #upload(): Promise<void> {
    const { chunk, bytes, scalesAt, reads } = this.#readings[0];
    await Promise.all(reads);
    this.#readings.shift();
    const { rows, rowBytes, scaleBytes, stored } = chunk;
    const length = rows * rowBytes;
    const staged = chunk.widened
      ? new Uint8Array(toF32(bytes.subarray(0, length), stored).buffer)
      // Bytes after the last row only pad to whole words and are never read.
      : bytes.subarray(0, Math.ceil((scaleBytes ? scalesAt + rows * scaleBytes : length) / 4) * 4);
    await this.#ring.write(this.#recorder, staged, this.#staging);
    this.#free.push(bytes);
    this.#search(chunk, scalesAt);
    for (const run of chunk.runs) this.#convert(chunk, run, scalesAt);
    this.#recorder.submit();
    for (const submitted of chunk.whenSubmitted) submitted();
    this.advance(rows * (rowBytes + scaleBytes));
  }

  /** Looks for weights, or scales, that are not finite: one of them makes every answer nonsense. */
  #search(
    { matrix: { codes, scales }, rows, inner, scaleBytes, stored, widened }: Chunk,
    scalesAt: number,
  ): void {
    const [slice, dtype, elements, at]: [TensorSlice, FloatDType, number, number] = scales
      ? [scales, "F16", rows * scaleBytes / 2, scalesAt]
      : [codes, widened ? "F32" : stored, rows * inner, 0];
    const staged = this.#staging.part(at / 4, this.#staging.byteLength / 4 - at / 4);
    const tensor = this.#order.get(slice)!;
    findNotFinite(this.#recorder, staged, dtype, elements, this.#notFinite, tensor);
  }

  #convert(chunk: Chunk, run: Run, scalesAt: number): void {
    const { matrix, part, scheme, stored, columns, inner } = chunk;
    const at = { inner, chunkColumns: run.rows, firstColumn: run.firstColumn, columns };
    const staged = (offset: number) =>
      this.#staging.part(offset / 4, this.#staging.byteLength / 4 - offset / 4);
    const rows = staged(run.firstRow * chunk.stagedRowBytes);
    if (part.scales && !matrix.scales) {
      const to = { units: part.units, scales: part.scales };
      quantize(this.#recorder, rows, stored, to, scheme, at);
      return;
    }
    repack(this.#recorder, rows, part.units, scheme, at);
    if (!matrix.scales) return;
    const scales = staged(scalesAt + run.firstRow * chunk.scaleBytes);
    repackScales(this.#recorder, scales, part.scales!, scheme, at);
  }

  /** Waits for running reads and frees the staging buffer; then the checkpoint may be closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#recorder.abandon();
    await Promise.allSettled(this.#readings.flatMap(({ reads }) => reads));
    this.#staging.destroy();
    this.#notFinite.destroy();
    this.#ring[Symbol.dispose]();
  }
}
