/** A device that counts bytes instead of computing. */

import type { Gpu } from "../../gpu/device.ts";
import { TEXEL_BYTES } from "../../gpu/texels.ts";

/** What a memory plan depends on of a device; the rows of matrix units take memory. */
export type DeviceLimits =
  & Pick<Gpu, "name" | "limits" | "features" | "rowForm" | "checkBufferSize">
  & Partial<Pick<Gpu, "matrixUnits">>;

/** An unknown device: it has f16, and limits that nothing reaches. */
export const UNLIMITED: DeviceLimits = {
  name: "an unknown adapter",
  rowForm: "uniform",
  features: ["shader-f16"],
  limits: {
    maxBufferSize: 2 ** 52,
    maxStorageBufferBindingSize: 2 ** 52,
    maxComputeWorkgroupsPerDimension: 2 ** 52,
    minUniformBufferOffsetAlignment: 256,
    minStorageBufferOffsetAlignment: 256,
  } as GPUSupportedLimits,
  checkBufferSize() {},
};

/** Adds a size. @returns takes it away again, once */
function counted(size: number, add: (bytes: number) => void): () => void {
  add(size);
  let live = true;
  return () => {
    if (live) add(-size);
    live = false;
  };
}

/** Counts the memory that is allocated. */
export class CountedMemory {
  /** Bytes of all buffers and textures that live on the GPU. */
  bytes = 0;
  /** Peak of buffers that the host writes, plus bytes written since the last wait for the GPU. */
  mostHostBytes = 0;
  #hostBytes = 0;
  #inFlight = 0;

  createBuffer({ size, usage }: GPUBufferDescriptor): GPUBuffer {
    const destroy = counted(size, (bytes) => {
      if (usage & GPUBufferUsage.MAP_WRITE) this.#onHost(bytes, 0);
      else this.bytes += bytes;
    });
    // Readbacks give zeros, so nothing is committed.
    const mapAsync = () => {
      this.wait();
      return Promise.resolve();
    };
    const mapping = { mapAsync, unmap() {} };
    const getMappedRange = (_offset: number, length: number) => new ArrayBuffer(length);
    return { size, destroy, getMappedRange, ...mapping } as unknown as GPUBuffer;
  }

  /** All texels are of 16 bytes. */
  createTexture({ size }: GPUTextureDescriptor): GPUTexture {
    const texels = [...size as Iterable<number>].reduce((product, side) => product * side, 1);
    const destroy = counted(TEXEL_BYTES * texels, (bytes) => this.bytes += bytes);
    return { createView: () => ({}), destroy } as unknown as GPUTexture;
  }

  write(bytes: number): void {
    this.#onHost(0, bytes);
  }

  wait(): void {
    this.#inFlight = 0;
  }

  #onHost(mapped: number, written: number): void {
    this.#hostBytes += mapped;
    this.#inFlight += written;
    this.mostHostBytes = Math.max(this.mostHostBytes, this.#hostBytes + this.#inFlight);
  }
}

/** A `Gpu` whose device counts allocations in `memory` and does nothing else. */
export function countingGpu(
  memory: CountedMemory,
  { name, limits, features, rowForm, checkBufferSize, matrixUnits }: DeviceLimits,
): Gpu {
  const nothing = () => ({});
  const queue = {
    writeBuffer(_to: GPUBuffer, _at: number, data: ArrayBufferView, _from = 0, bytes?: number) {
      memory.write(bytes ?? data.byteLength);
    },
    submit() {},
    onSubmittedWorkDone() {
      memory.wait();
      return Promise.resolve();
    },
  };
  const pass = { setPipeline() {}, setBindGroup() {}, dispatchWorkgroups() {}, end() {} };
  const device = {
    queue,
    createBuffer: (descriptor: GPUBufferDescriptor) => memory.createBuffer(descriptor),
    pushErrorScope() {},
    popErrorScope: () => Promise.resolve(null),
    createTexture: (descriptor: GPUTextureDescriptor) => memory.createTexture(descriptor),
    createShaderModule: nothing,
    createBindGroupLayout: nothing,
    createPipelineLayout: nothing,
    createComputePipeline: nothing,
    createBindGroup: nothing,
    createCommandEncoder: () => ({
      beginComputePass: () => pass,
      copyBufferToBuffer() {},
      copyBufferToTexture() {},
      finish: nothing,
    }),
  };
  return {
    device: device as unknown as GPUDevice,
    name,
    identity: "",
    limits,
    subgroups: false,
    rowForm,
    matrixUnits,
    features,
    native: false,
    software: false,
    directives: "",
    throwIfFaulty() {},
    forgetOutOfMemory() {},
    checkBufferSize,
    [Symbol.dispose]() {},
  };
}
