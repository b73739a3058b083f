/** Reads results back from the GPU; only here does the host wait for the GPU. */

import { type Gpu, GpuFaultError } from "./device.ts";
import { mapBuffers, turnEventLoop } from "./mapping.ts";
import type { Recorder } from "./recorder.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Reads results through one mappable buffer, which is reused: only its first map must be awaited.
 */
export class Readback implements Disposable {
  /** Number of readbacks so far. */
  count = 0;
  /** Milliseconds spent waiting for the GPU, including the copy. */
  waitedMilliseconds = 0;
  readonly #gpu: Gpu;
  #buffer: GPUBuffer | undefined;
  #mappedBefore = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /**
   * Records a copy of the first `bytes` of `from`, submits, waits, and returns them.
   * @throws {GpuFaultError} when the device reported an error or was lost
   * @throws {GpuMemoryError} when memory ran out
   */
  async read(recorder: Recorder, from: Tensor, bytes = from.byteLength): Promise<ArrayBuffer> {
    const buffer = this.#reserve(bytes);
    const to = { buffer, byteOffset: 0, byteLength: bytes } as Tensor;
    recorder.copy(from, to, bytes);
    recorder.submit();
    this.#gpu.throwIfFaulty();
    this.count++;
    const start = performance.now();
    try {
      await mapBuffers(this.#gpu, [buffer], GPUMapMode.READ, {
        bytes,
        first: !this.#mappedBefore,
      });
      const result = buffer.getMappedRange(0, bytes).slice(0);
      buffer.unmap();
      this.#mappedBefore = true;
      this.waitedMilliseconds += performance.now() - start;
      await turnEventLoop();
      this.#gpu.throwIfFaulty();
      return result;
    } catch (error) {
      await turnEventLoop();
      this.#gpu.throwIfFaulty();
      throw new GpuFaultError(
        `${this.#gpu.name} returned no results: ${(error as Error).message}. ` +
          "The device was probably lost: load the model again.",
        { cause: error },
      );
    }
  }

  #reserve(bytes: number): GPUBuffer {
    if (this.#buffer && this.#buffer.size >= bytes) return this.#buffer;
    this.#buffer?.destroy();
    this.#mappedBefore = false;
    return this.#buffer = this.#gpu.device.createBuffer({
      label: "readback",
      size: Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))),
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  [Symbol.dispose](): void {
    this.#buffer?.destroy();
    this.#buffer = undefined;
  }
}
