/** Weights from a checkpoint through one staging buffer into the units that kernels read. */

import type { Gpu } from "../gpu/device.ts";
import { byteSize, type FloatDType, toF32 } from "../gpu/dtype.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { createTensor, type Tensor } from "../gpu/tensor.ts";
import { quantize } from "../kernels/quantize.ts";
import { repack, type RepackedColumns, repackScales } from "../kernels/repack.ts";
import { groupsOf, type QuantScheme, storedRowBytes } from "../quant/scheme.ts";
import type { Checkpoint } from "../weights/checkpoint.ts";
import type { TensorSlice } from "../weights/safetensors.ts";

/** Reported while loading: bytes read so far, of all that will be. */
export type LoadProgress = (done: number, total: number) => void;

/** What loading needs of a checkpoint. */
export type WeightSource = Pick<
  Checkpoint,
  "byteLength" | "tensor" | "tensors" | "readInto" | "read"
>;

/** A matrix `[out, inner]` as it is stored. */
export interface StoredMatrix {
  readonly codes: TensorSlice;
  /** `[out, groups]` f16, of quantised ones. */
  readonly scales?: TensorSlice;
}

/** Buffers of one part of a matrix. */
export interface PartTensors {
  readonly units: Tensor;
  readonly scales?: Tensor;
}

const CHUNK_BYTES = 4 * 2 ** 20;
/** The driver keeps a copy of what is written until the GPU has taken it. */
const BYTES_IN_FLIGHT = 24 * 2 ** 20;

/** Streams rows, a few megabytes at a time. */
export class WeightStream implements Disposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #source: WeightSource;
  readonly #progress: LoadProgress | undefined;
  readonly #chunk: Uint8Array<ArrayBuffer>;
  readonly #staging: Tensor;
  #done = 0;
  #inFlight = 0;

  constructor(gpu: Gpu, recorder: Recorder, source: WeightSource, progress?: LoadProgress) {
    this.#gpu = gpu;
    this.#recorder = recorder;
    this.#source = source;
    this.#progress = progress;
    const bytes = Math.min(CHUNK_BYTES, gpu.limits.maxStorageBufferBindingSize);
    this.#chunk = new Uint8Array(bytes);
    this.#staging = createTensor(gpu, "upload", bytes / 4);
  }

  /** A small tensor, widened to f32. */
  vector(slice: TensorSlice): Float32Array<ArrayBuffer> {
    this.advance(slice.byteLength);
    return toF32(this.#source.read(slice), slice.dtype);
  }

  /**
   * Rows [from, to) of a stored matrix become columns of a part.
   * @param at.firstColumn where row `from` goes
   * @throws {CheckpointError} when the file was cut short
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
    const stored = matrix.codes.dtype;
    const rowBytes = matrix.scales ? storedRowBytes(scheme, inner) : inner * byteSize(stored);
    // Half a chunk: 16-bit rows may have to be widened.
    const rowsPerChunk = Math.max(1, Math.floor(this.#chunk.length / 2 / rowBytes));
    for (let row = from; row < to; row += rowsPerChunk) {
      const rows = Math.min(rowsPerChunk, to - row);
      const columns: RepackedColumns = {
        inner,
        chunkColumns: rows,
        firstColumn: at.firstColumn + row - from,
        columns: at.columns,
      };
      const bytes = this.#read(matrix.codes, row * rowBytes, rows * rowBytes);
      let taken = bytes.length;
      if (matrix.scales) {
        this.#stage(bytes.length);
        repack(this.#recorder, this.#staging, part.units, scheme, columns);
        this.#recorder.submit();
        const scaleBytes = 2 * groupsOf(scheme, inner);
        this.#stage(this.#read(matrix.scales, row * scaleBytes, rows * scaleBytes).length);
        taken += rows * scaleBytes;
        repackScales(this.#recorder, this.#staging, part.scales!, scheme, columns);
      } else if (part.scales) {
        this.#stage(bytes.length);
        const to = { units: part.units, scales: part.scales };
        quantize(this.#recorder, this.#staging, stored as FloatDType, to, scheme, columns);
      } else {
        if (stored === scheme.dtype) this.#stage(bytes.length);
        else this.#widen(bytes, stored as FloatDType);
        repack(this.#recorder, this.#staging, part.units, scheme, columns);
      }
      this.#recorder.submit();
      await this.#throttle(taken);
    }
  }

  /** Bytes that were read elsewhere count too. */
  advance(bytes: number): void {
    this.#done += bytes;
    this.#progress?.(this.#done, this.#source.byteLength);
  }

  #read(slice: TensorSlice, offset: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = this.#chunk.subarray(0, length);
    this.#source.readInto(slice, bytes, offset);
    return bytes;
  }

  #stage(bytes: number): void {
    // A write must be whole words; bytes behind the last row are never read.
    const whole = Math.ceil(bytes / 4) * 4;
    this.#gpu.device.queue.writeBuffer(this.#staging.buffer, 0, this.#chunk, 0, whole);
  }

  #widen(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDType): void {
    this.#gpu.device.queue.writeBuffer(this.#staging.buffer, 0, toF32(bytes, dtype));
  }

  async #throttle(bytes: number): Promise<void> {
    this.advance(bytes);
    this.#inFlight += bytes;
    if (this.#inFlight < BYTES_IN_FLIGHT) return;
    await this.#gpu.device.queue.onSubmittedWorkDone();
    this.#gpu.throwIfFaulty();
    this.#inFlight = 0;
  }

  [Symbol.dispose](): void {
    this.#recorder.abandon();
    this.#staging.destroy();
  }
}
