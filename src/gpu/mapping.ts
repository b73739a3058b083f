/** How the host waits for the GPU. */

import type { Gpu } from "./device.ts";

/** Deno releases on which {@linkcode mapBlocks}. */
const BLOCKING_MAP_RELEASES = ["2.9.6"];

/**
 * Whether `mapAsync` itself blocks until the GPU has done all that was submitted, and its range can
 * be taken at once if the buffer had been mapped before (a never-mapped one would end the process).
 * In Deno an awaited `mapAsync` or `onSubmittedWorkDone` sleeps about 10 ms after that.
 */
export function mapBlocks(gpu: Gpu): boolean {
  return gpu.native && BLOCKING_MAP_RELEASES.includes(Deno.version.deno);
}

/**
 * Maps buffers as soon as the GPU is done with them, without the sleep where it can be had.
 * @param options.bytes from each buffer's start
 * @param options.first whether one of them has never been mapped
 */
export async function mapBuffers(
  gpu: Gpu,
  buffers: readonly GPUBuffer[],
  mode: GPUMapModeFlags,
  { bytes, first = false }: { readonly bytes?: number; readonly first?: boolean } = {},
): Promise<void> {
  gpu.onWait?.(true);
  const mapped = Promise.all(buffers.map((buffer) => buffer.mapAsync(mode, 0, bytes)));
  // What went wrong is told by whoever takes the range.
  if (mapBlocks(gpu) && !first) mapped.catch(() => {});
  else await mapped;
  gpu.onWait?.(false);
}

/** Errors are delivered only when the event loop turns, and so are a client's messages. */
export async function turnEventLoop(): Promise<void> {
  // A timer would take 2 ms. The turn under way may be past its deliveries, the next one is not.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Waits for the GPU where nothing is read back: for timings. */
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

  /** Returns when all that was submitted is done. Errors and losses are the device's to tell. */
  async wait(): Promise<void> {
    // Elsewhere a buffer that no command uses is mapped at once, whatever else is under way.
    if (!mapBlocks(this.#gpu)) return await this.#gpu.device.queue.onSubmittedWorkDone();
    await mapBuffers(this.#gpu, [this.#buffer], GPUMapMode.WRITE);
    this.#buffer.unmap();
  }

  [Symbol.dispose](): void {
    this.#buffer.destroy();
  }
}
