/** Tensors: regions of GPU buffers, which kernels bind. */

import type { Gpu } from "./device.ts";

let nextKey = 0;
const bufferKeys = new WeakMap<GPUBuffer, number>();

function keyOf(buffer: GPUBuffer): number {
  let key = bufferKeys.get(buffer);
  if (key === undefined) bufferKeys.set(buffer, key = nextKey++);
  return key;
}

/** A buffer, or a part of one. Elements are 4 bytes wide: f32, u32, or packed weights. */
export class Tensor {
  /** Key of the region; two tensors of the same region have the same key. */
  readonly key: string;

  constructor(
    /** The buffer that holds the region. */
    readonly buffer: GPUBuffer,
    /** Where the region starts, a multiple of the device's storage alignment. */
    readonly byteOffset: number,
    /** Length of the region in bytes, a multiple of 4. */
    readonly byteLength: number,
  ) {
    this.key = `${keyOf(buffer)}@${byteOffset}+${byteLength}`;
  }

  /** A part of this tensor; offset and length are in elements of 4 bytes. */
  part(first: number, length: number): Tensor {
    return new Tensor(this.buffer, this.byteOffset + 4 * first, 4 * length);
  }

  /**
   * A part of at most `most` elements from `first` on, as many as there are. Bind groups are kept
   * by the regions that they bind: a region as long as the rows of one call would make new ones for
   * each number of rows, and a server meets every number in time.
   */
  window(first: number, most: number): Tensor {
    return this.part(first, Math.min(most, this.byteLength / 4 - first));
  }

  /** Frees the whole buffer. */
  destroy(): void {
    this.buffer.destroy();
  }
}

/** Words of 4 bytes that a tensor can have on a device. */
export function mostWords({ limits }: Pick<Gpu, "limits">): number {
  return Math.floor(Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize) / 4);
}

/**
 * Creates a zero-filled tensor for storage and copies.
 * @throws {GpuError} when it does not fit the device's buffer or binding limit
 */
export function createTensor(gpu: Gpu, label: string, elements: number): Tensor {
  const size = Math.max(16, Math.ceil(elements / 4) * 16);
  gpu.checkBufferSize(label, size);
  const buffer = gpu.device.createBuffer({
    label,
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  return new Tensor(buffer, 0, size);
}

/** Writes `data` at the tensor's start (or `elementOffset`, in elements of 4 bytes). */
export function upload(
  gpu: Gpu,
  tensor: Tensor,
  data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  elementOffset = 0,
): void {
  // Deno 2.9.6 crashes the process when it writes 0 bytes.
  if (data.length === 0) return;
  gpu.device.queue.writeBuffer(tensor.buffer, tensor.byteOffset + 4 * elementOffset, data);
}

/** Creates a tensor that holds `data`. */
export function tensorOf(
  gpu: Gpu,
  label: string,
  data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
): Tensor {
  const tensor = createTensor(gpu, label, data.length);
  upload(gpu, tensor, data);
  return tensor;
}
