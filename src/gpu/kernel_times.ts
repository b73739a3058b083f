/** GPU time by kernel name, from timestamp queries. */

import { type Gpu, GpuError } from "./device.ts";

/** Dispatches between two readings of the timestamps. */
const CAPACITY = 2048;

/** What a kernel took so far. */
export interface KernelTime {
  readonly kernel: string;
  readonly dispatches: number;
  readonly milliseconds: number;
}

/** Collects timestamps of dispatches that a recorder puts in passes of their own. */
export class KernelTimes implements Disposable {
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #copy: GPUBuffer;
  #names: string[] = [];
  readonly #totals = new Map<string, { dispatches: number; nanoseconds: number }>();

  /** @throws {GpuError} when the device has no timestamps */
  constructor(gpu: Gpu) {
    if (!gpu.features.includes("timestamp-query")) {
      throw new GpuError(`${gpu.name} has no timestamp queries`);
    }
    this.#gpu = gpu;
    this.#queries = gpu.device.createQuerySet({ type: "timestamp", count: 2 * CAPACITY });
    const size = 16 * CAPACITY;
    this.#resolved = gpu.device.createBuffer({
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#copy = gpu.device.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /** Where the pass of the next dispatch writes its times; undefined when there is no room left. */
  next(kernel: string): GPUComputePassTimestampWrites | undefined {
    if (this.#names.length === CAPACITY) return undefined;
    const index = 2 * this.#names.length;
    this.#names.push(kernel);
    return {
      querySet: this.#queries,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
  }

  /** Waits for the GPU and adds what was measured since the last call to the totals. */
  async collect(): Promise<void> {
    const count = this.#names.length;
    if (count === 0) return;
    const encoder = this.#gpu.device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#copy, 0, 16 * count);
    this.#gpu.device.queue.submit([encoder.finish()]);
    await this.#copy.mapAsync(GPUMapMode.READ);
    const times = new BigUint64Array(this.#copy.getMappedRange(0, 16 * count));
    for (const [i, name] of this.#names.entries()) {
      const total = this.#totals.get(name) ?? { dispatches: 0, nanoseconds: 0 };
      total.dispatches++;
      total.nanoseconds += Number(times[2 * i + 1] - times[2 * i]);
      this.#totals.set(name, total);
    }
    this.#copy.unmap();
    this.#names = [];
  }

  /** Totals by kernel, the costliest first. */
  totals(): KernelTime[] {
    return [...this.#totals].map(([kernel, { dispatches, nanoseconds }]) => ({
      kernel,
      dispatches,
      milliseconds: nanoseconds / 1e6,
    })).sort((a, b) => b.milliseconds - a.milliseconds);
  }

  [Symbol.dispose](): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#copy.destroy();
  }
}
