/** Large uploads through host memory that is allotted once. */

import { type Gpu, GpuFaultError } from "./device.ts";
import { mapBuffers, turnEventLoop } from "./mapping.ts";
import type { Recorder } from "./recorder.ts";
import { Tensor } from "./tensor.ts";

/**
 * Buffers that the host writes and the GPU copies from, in turn. `queue.writeBuffer` allots a copy
 * for each call; on a software adapter, which has one heap for everything, those leave holes among
 * the tensors that they are written to.
 *
 * The host waits when all buffers are under way. In Deno a wait is for all that was submitted, and an
 * awaited one sleeps 10 ms afterwards: many buffers mean few waits.
 */
export class UploadRing implements Disposable {
  readonly #gpu: Gpu;
  /** All of them. */
  readonly #slots: readonly Tensor[];
  /** Those that the host may write. */
  #mapped: Tensor[];
  /** Those that the GPU may still have to read. */
  #written: Tensor[] = [];

  /** @param bytes of each buffer, a multiple of 4: the most that is written at once */
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
   * Waits until the GPU has done all that was submitted.
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
      `${this.#gpu.name} took no upload: ${(error as Error).message}. ` +
        "The device was probably lost: load the model again.",
      { cause: error },
    );
  }

  [Symbol.dispose](): void {
    for (const slot of this.#slots) slot.destroy();
  }
}
