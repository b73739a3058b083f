/** Uploads large data through host memory that is allocated once. */

import { type Gpu, GpuFaultError } from "./device.ts";
import { mapBuffers, turnEventLoop } from "./mapping.ts";
import type { Recorder } from "./recorder.ts";
import { Tensor } from "./tensor.ts";

/**
 * A ring of buffers that the host writes and the GPU copies from. `queue.writeBuffer` would
 * allocate a copy for each call. On a software adapter, which has one heap for everything, those
 * copies would leave holes between the tensors.
 *
 * The host waits when all buffers are in use. In Deno a wait lasts until all submitted work is
 * done, and awaiting takes 10 ms longer, so many buffers save waits.
 */
export class UploadRing implements Disposable {
  readonly #gpu: Gpu;
  /** All buffers. */
  readonly #slots: readonly Tensor[];
  /** Buffers that the host may write. */
  #mapped: Tensor[];
  /** Buffers that the GPU may still read. */
  #written: Tensor[] = [];

  /** @param bytes size of each buffer, a multiple of 4, and limit of one write */
  constructor(gpu: Gpu, slots: number, bytes: number) {
    this.#gpu = gpu;
    this.#slots = Array.from({ length: slots }, () => {
      const buffer = gpu.device.createBuffer({
        label: "upload ring",
        size: bytes,
        usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
        mappedAtCreation: true,
      });
      return new Tensor(buffer, 0, bytes);
    });
    this.#mapped = [...this.#slots];
  }

  /**
   * Records a copy of `data` to the start of `to`. The caller submits it before writing again.
   * @param data whole words
   * @throws {GpuFaultError} when the device reported an error or was lost
   * @throws {GpuMemoryError} when memory ran out
   */
  async write(recorder: Recorder, data: Uint8Array<ArrayBuffer>, to: Tensor): Promise<void> {
    if (this.#mapped.length === 0) await this.wait();
    const slot = this.#mapped.pop()!;
    try {
      new Uint8Array(slot.buffer.getMappedRange(0, data.length)).set(data);
      slot.buffer.unmap();
    } catch (error) {
      await this.#fail(error);
    }
    recorder.copy(slot, to, data.length);
    this.#written.push(slot);
  }

  /**
   * Waits until the GPU has done all submitted work.
   * @throws {GpuFaultError} when the device reported an error or was lost
   * @throws {GpuMemoryError} when memory ran out
   */
  async wait(): Promise<void> {
    const slots = this.#written;
    this.#written = [];
    const buffers = slots.map(({ buffer }) => buffer);
    await mapBuffers(this.#gpu, buffers, GPUMapMode.WRITE).catch((error) => this.#fail(error));
    this.#mapped.push(...slots);
    await turnEventLoop();
    this.#gpu.throwIfFaulty();
  }

  async #fail(error: unknown): Promise<never> {
    await turnEventLoop();
    this.#gpu.throwIfFaulty();
    throw new GpuFaultError(
      `${this.#gpu.name} accepted no upload: ${(error as Error).message}. ` +
        "The device was probably lost: load the model again.",
      { cause: error },
    );
  }

  [Symbol.dispose](): void {
    for (const slot of this.#slots) slot.destroy();
  }
}
