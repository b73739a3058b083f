/** Waits for the GPU on the host. */

import type { Gpu } from "./device.ts";

/** Deno releases for which {@linkcode mapBlocks} is true. */
const BLOCKING_MAP_RELEASES = ["2.9.6"];

/**
 * Whether the call of `mapAsync` itself blocks until the GPU has finished all submitted work. Then
 * the range can be read at once, without awaiting, if the buffer was mapped before; on a buffer
 * that was never mapped this would crash the process. In Deno, awaiting `mapAsync` or
 * `onSubmittedWorkDone` takes about 10 ms longer.
 */
export function mapBlocks(gpu: Gpu): boolean {
  return gpu.native && BLOCKING_MAP_RELEASES.includes(Deno.version.deno);
}

/** Tells the device's owner that the thread may stand still, until it is disposed of. */
export function waiting(gpu: Gpu): Disposable {
  gpu.onWait?.(true);
  return { [Symbol.dispose]: () => gpu.onWait?.(false) };
}

/**
 * Maps buffers as soon as the GPU is done with them, without the 10 ms where possible.
 * @param options.bytes number of bytes to map, from each buffer's start
 * @param options.first whether one of the buffers has never been mapped
 */
export async function mapBuffers(
  gpu: Gpu,
  buffers: readonly GPUBuffer[],
  mode: GPUMapModeFlags,
  { bytes, first = false }: { readonly bytes?: number; readonly first?: boolean } = {},
): Promise<void> {
  using _waiting = waiting(gpu);
  const mapped = Promise.all(buffers.map((buffer) => buffer.mapAsync(mode, 0, bytes)));
  // The caller gets the error when it reads the range.
  if (mapBlocks(gpu) && !first) mapped.catch(() => {});
  else await mapped;
}

/** Errors are delivered only when the event loop turns, and so are a client's messages. */
export async function turnEventLoop(): Promise<void> {
  // A timer would take 2 ms. The turn under way may be past its deliveries, the next one is not.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for the GPU without reading anything back, for timings. */
export class QueueWait implements Disposable {
  readonly #gpu: Gpu;
  readonly #buffer: GPUBuffer;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#buffer = gpu.device.createBuffer({
      label: "wait",
      size: 4,
      usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
    this.#buffer.unmap();
  }

  /** Waits until all submitted work is done. It does not report errors or a lost device. */
  async wait(): Promise<void> {
    // On other providers an unused buffer is mapped at once, without waiting for the GPU.
    if (!mapBlocks(this.#gpu)) return await this.#gpu.device.queue.onSubmittedWorkDone();
    await mapBuffers(this.#gpu, [this.#buffer], GPUMapMode.WRITE);
    this.#buffer.unmap();
  }

  [Symbol.dispose](): void {
    this.#buffer.destroy();
  }
}
