/** Watches how many bytes of a device's buffers are alive, to compare with what was planned. */

import type { Gpu } from "../gpu/device.ts";

/** Counts buffers from now on. Dispose of it to stop; buffers that are alive then stay as they are. */
export class BufferWatch implements Disposable {
  /** Most bytes that were alive together. */
  peakBytes = 0;
  readonly #device: GPUDevice;
  #bytes = 0;

  /** Takes over `createBuffer` of the device until disposed. */
  constructor({ device }: Pick<Gpu, "device">) {
    this.#device = device;
    const create = device.createBuffer.bind(device);
    Object.defineProperty(device, "createBuffer", {
      configurable: true,
      value: (descriptor: GPUBufferDescriptor) => {
        const buffer = create(descriptor);
        this.#count(buffer, descriptor.size);
        return buffer;
      },
    });
  }

  #count(buffer: GPUBuffer, bytes: number): void {
    this.#bytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.#bytes);
    const destroy = buffer.destroy.bind(buffer);
    let alive = true;
    Object.defineProperty(buffer, "destroy", {
      configurable: true,
      value: () => {
        if (alive) this.#bytes -= bytes;
        alive = false;
        destroy();
      },
    });
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(this.#device, "createBuffer");
  }
}
