/** Measures GPU time by kernel name with timestamp queries. */

import { type Gpu, GpuError } from "./device.ts";
import type { Arithmetic, Cost, WeightBinding } from "./kernel.ts";

/** Dispatches in one query set, the limit of WebGPU. */
const CAPACITY = 2048;

/** GPU time of a kernel so far. */
export interface KernelTime {
  /** Name of the kernel; with scheme and arithmetic if it multiplies rows. */
  readonly kernel: string;
  readonly dispatches: number;
  readonly milliseconds: number;
  /** Cost of all dispatches; undefined if a call did not give its cost. */
  readonly cost: Cost | undefined;
  /** Arithmetic of its products; undefined if it multiplies no rows. */
  readonly arithmetic: Arithmetic | undefined;
}

/** Timestamps of up to CAPACITY dispatches. */
interface Chunk {
  readonly queries: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly copy: GPUBuffer;
  readonly calls: Call[];
}

interface Call {
  readonly name: string;
  readonly cost: Cost | undefined;
  readonly arithmetic: Arithmetic | undefined;
}

/** Collects timestamps of dispatches; a recorder puts each in a separate pass. */
export class KernelTimes implements Disposable {
  readonly #gpu: Gpu;
  readonly #chunks: Chunk[] = [];
  readonly #totals = new Map<string, KernelTime>();

  /** @throws {GpuError} when the device has no timestamps */
  constructor(gpu: Gpu) {
    if (!gpu.features.includes("timestamp-query")) {
      throw new GpuError(`${gpu.name} has no timestamp queries`);
    }
    this.#gpu = gpu;
  }

  #chunk(): Chunk {
    const { device } = this.#gpu;
    const open = this.#chunks.find(({ calls }) => calls.length < CAPACITY);
    if (open) return open;
    const size = 16 * CAPACITY;
    const chunk: Chunk = {
      queries: device.createQuerySet({ type: "timestamp", count: 2 * CAPACITY }),
      resolved: device.createBuffer({
        size,
        usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      }),
      copy: device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
      calls: [],
    };
    this.#chunks.push(chunk);
    return chunk;
  }

  /** Timestamp writes of the next dispatch's pass. */
  next(
    kernel: string,
    cost?: Cost,
    weights?: WeightBinding,
  ): GPUComputePassTimestampWrites {
    const { queries, calls } = this.#chunk();
    const index = 2 * calls.length;
    const name = weights ? `${kernel} ${weights.scheme}, ${weights.arithmetic}` : kernel;
    calls.push({ name, cost, arithmetic: weights?.arithmetic });
    return {
      querySet: queries,
      beginningOfPassWriteIndex: index,
      endOfPassWriteIndex: index + 1,
    };
  }

  /**
   * Waits for the GPU and adds the times since the last call to the totals. Nothing may be recorded
   * until it resolves.
   */
  async collect(): Promise<void> {
    for (const { queries, resolved, copy, calls } of this.#chunks) {
      const count = calls.length;
      if (count === 0) continue;
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.resolveQuerySet(queries, 0, 2 * count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, copy, 0, 16 * count);
      this.#gpu.device.queue.submit([encoder.finish()]);
      await copy.mapAsync(GPUMapMode.READ);
      const times = new BigUint64Array(copy.getMappedRange(0, 16 * count));
      for (const [i, call] of calls.entries()) {
        this.#add(call, Number(times[2 * i + 1] - times[2 * i]) / 1e6);
      }
      copy.unmap();
      calls.length = 0;
    }
  }

  #add({ name, cost, arithmetic }: Call, milliseconds: number): void {
    const before = this.#totals.get(name) ??
      { dispatches: 0, milliseconds: 0, cost: { operations: 0, bytes: 0 } };
    this.#totals.set(name, {
      kernel: name,
      dispatches: before.dispatches + 1,
      milliseconds: before.milliseconds + milliseconds,
      cost: cost && before.cost && {
        operations: before.cost.operations + cost.operations,
        bytes: before.cost.bytes + cost.bytes,
      },
      arithmetic,
    });
  }

  /** Totals by kernel, longest time first. */
  totals(): KernelTime[] {
    return [...this.#totals.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }

  [Symbol.dispose](): void {
    for (const { queries, resolved, copy } of this.#chunks) {
      queries.destroy();
      resolved.destroy();
      copy.destroy();
    }
  }
}
