/** Weights from disk to the GPU: streamed, repacked there, split where a limit asks for it. */

import type { Gpu } from "../gpu/device.ts";
import { byteSize, type FloatDType, toF32 } from "../gpu/dtype.ts";
import type { Recorder } from "../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf } from "../gpu/tensor.ts";
import { repack } from "../kernels/repack.ts";
import type { WeightMatrix, WeightPart } from "../kernels/weight_matrix.ts";
import { blocksOf, bytesPerColumn, type QuantScheme, SCHEMES } from "../quant/scheme.ts";
import type { Checkpoint } from "../weights/checkpoint.ts";
import type { TensorSlice } from "../weights/safetensors.ts";

/** Reported while loading: bytes read so far, of all that will be. */
export type LoadProgress = (done: number, total: number) => void;

const CHUNK_BYTES = 4 * 2 ** 20;
/** The driver keeps a copy of what is written until the GPU has taken it. */
const BYTES_IN_FLIGHT = 24 * 2 ** 20;
/** Parts start at whole tiles of the kernels that read them. */
const PART_COLUMNS = 128;

/** Creates a model's tensors; on disposal before {@linkcode release} it frees all of them. */
export class WeightUpload implements Disposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #checkpoint: Checkpoint;
  readonly #progress: LoadProgress | undefined;
  readonly #chunk: Uint8Array<ArrayBuffer>;
  readonly #staging: Tensor;
  #tensors: Tensor[] = [];
  #done = 0;
  #inFlight = 0;

  constructor(gpu: Gpu, recorder: Recorder, checkpoint: Checkpoint, progress?: LoadProgress) {
    this.#gpu = gpu;
    this.#recorder = recorder;
    this.#checkpoint = checkpoint;
    this.#progress = progress;
    const bytes = Math.min(CHUNK_BYTES, gpu.limits.maxStorageBufferBindingSize);
    this.#chunk = new Uint8Array(bytes);
    this.#staging = createTensor(gpu, "upload", bytes / 4);
  }

  /** A vector, widened to f32. `[length]` */
  vector(name: string, length: number): Tensor {
    const slice = this.#checkpoint.tensor(name, { shape: [length] });
    const tensor = tensorOf(
      this.#gpu,
      name,
      toF32(this.#checkpoint.read(slice), slice.dtype),
    );
    this.#tensors.push(tensor);
    this.#advance(slice.byteLength);
    return tensor;
  }

  /** @throws {GpuError} before a table of so many elements is made, when it would not fit */
  checkTable(label: string, elements: number): void {
    this.#gpu.checkBufferSize(label, 4 * elements);
  }

  /** A table made on the host. */
  table(label: string, data: Float32Array<ArrayBuffer>): Tensor {
    const tensor = tensorOf(this.#gpu, label, data);
    this.#tensors.push(tensor);
    return tensor;
  }

  /**
   * Matrices `[out, inner]` that are read as one, their outputs side by side.
   * @throws {CheckpointError} when a tensor is missing, of another shape, or the file was cut short
   */
  async stacked(names: readonly string[], outs: readonly number[], inner: number) {
    const slices = names.map((name, i) =>
      this.#checkpoint.tensor(name, { shape: [outs[i], inner] })
    );
    const scheme = schemeOf(slices);
    const columns = outs.reduce((sum, out) => sum + out, 0);
    const parts: WeightPart[] = [];
    for (const [first, last] of this.#split(columns, bytesPerColumn(scheme, inner))) {
      const units = this.#part(names[0], last - first, scheme, inner);
      let start = 0;
      for (const [i, slice] of slices.entries()) {
        const from = Math.max(first, start);
        const to = Math.min(last, start + outs[i]);
        if (from < to) {
          await this.#fill(slice, inner, from - start, to - start, units, scheme, {
            firstColumn: from - first,
            columns: last - first,
          });
        }
        start += outs[i];
      }
      parts.push(partOf(scheme, units, first, last - first));
    }
    return { scheme, blocks: blocksOf(inner), columns, parts } satisfies WeightMatrix;
  }

  /**
   * Two matrices `[outs, inner]` of which a kernel needs the same outputs at once: a part holds its
   * outputs of the first and behind them those of the second.
   * @throws {CheckpointError} as {@linkcode stacked}
   */
  async paired(names: readonly [string, string], outs: number, inner: number) {
    const slices = names.map((name) => this.#checkpoint.tensor(name, { shape: [outs, inner] }));
    const scheme = schemeOf(slices);
    const parts: WeightPart[] = [];
    for (const [first, last] of this.#split(outs, 2 * bytesPerColumn(scheme, inner))) {
      const width = last - first;
      const units = this.#part(names[0], 2 * width, scheme, inner);
      for (const [i, slice] of slices.entries()) {
        await this.#fill(slice, inner, first, last, units, scheme, {
          firstColumn: i * width,
          columns: 2 * width,
        });
      }
      parts.push(partOf(scheme, units, first, width));
    }
    return { scheme, blocks: blocksOf(inner), columns: outs, parts } satisfies WeightMatrix;
  }

  /** Waits for the GPU and hands all tensors over to the caller, who frees them from now on. */
  async release(): Promise<readonly Tensor[]> {
    await this.#gpu.device.queue.onSubmittedWorkDone();
    this.#gpu.throwIfFaulty();
    const tensors = this.#tensors;
    this.#tensors = [];
    return tensors;
  }

  [Symbol.dispose](): void {
    this.#recorder.abandon();
    this.#staging.destroy();
    for (const tensor of this.#tensors) tensor.destroy();
    this.#tensors = [];
  }

  /** Column ranges that fit one binding each. */
  *#split(columns: number, columnBytes: number): Generator<[first: number, last: number]> {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#gpu.limits;
    const fitting = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / columnBytes);
    const width = fitting >= columns
      ? columns
      : Math.max(1, fitting - fitting % Math.min(PART_COLUMNS, fitting));
    for (let first = 0; first < columns; first += width) {
      yield [first, Math.min(columns, first + width)];
    }
  }

  #part(label: string, columns: number, scheme: QuantScheme, inner: number): Tensor {
    const units = createTensor(this.#gpu, label, columns * bytesPerColumn(scheme, inner) / 4);
    this.#tensors.push(units);
    return units;
  }

  /** Streams rows [from, to) of a `[out, inner]` tensor into columns of `units`. */
  async #fill(
    slice: TensorSlice,
    inner: number,
    from: number,
    to: number,
    units: Tensor,
    scheme: QuantScheme,
    at: { readonly firstColumn: number; readonly columns: number },
  ): Promise<void> {
    const rowBytes = inner * byteSize(slice.dtype);
    // Half a chunk: 16-bit rows may have to be widened.
    const rowsPerChunk = Math.max(1, Math.floor(this.#chunk.length / 2 / rowBytes));
    for (let row = from; row < to; row += rowsPerChunk) {
      const rows = Math.min(rowsPerChunk, to - row);
      const bytes = this.#chunk.subarray(0, rows * rowBytes);
      this.#checkpoint.readInto(slice, bytes, row * rowBytes);
      this.#write(bytes, slice.dtype as FloatDType, scheme);
      repack(this.#recorder, this.#staging, units, scheme, {
        inner,
        chunkColumns: rows,
        firstColumn: at.firstColumn + row - from,
        columns: at.columns,
      });
      this.#recorder.submit();
      await this.#throttle(bytes.length);
    }
  }

  #write(bytes: Uint8Array<ArrayBuffer>, dtype: FloatDType, scheme: QuantScheme): void {
    const { queue } = this.#gpu.device;
    if (dtype !== scheme.dtype) {
      queue.writeBuffer(this.#staging.buffer, 0, toF32(bytes, dtype));
      return;
    }
    // A write must be whole words; bytes behind an odd number of 16-bit values are never read.
    const whole = Math.ceil(bytes.length / 4) * 4;
    queue.writeBuffer(this.#staging.buffer, 0, this.#chunk, 0, whole);
  }

  async #throttle(bytes: number): Promise<void> {
    this.#advance(bytes);
    this.#inFlight += bytes;
    if (this.#inFlight < BYTES_IN_FLIGHT) return;
    await this.#gpu.device.queue.onSubmittedWorkDone();
    this.#gpu.throwIfFaulty();
    this.#inFlight = 0;
  }

  #advance(bytes: number): void {
    this.#done += bytes;
    this.#progress?.(this.#done, this.#checkpoint.byteLength);
  }
}

/** Matrices read as one share a scheme: their own, or f32 where they differ. */
function schemeOf(slices: readonly TensorSlice[]): QuantScheme {
  const own = Object.values(SCHEMES).find((scheme) =>
    slices.every((slice) => slice.dtype === scheme.dtype)
  );
  return own ?? SCHEMES.f32;
}

function partOf(
  scheme: QuantScheme,
  units: Tensor,
  firstColumn: number,
  columns: number,
): WeightPart {
  return {
    binding: { scheme: scheme.name, snippet: scheme.snippet, buffers: [units.buffer] },
    firstColumn,
    columns,
  };
}
