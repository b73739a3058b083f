/** Watches how many bytes of a device's memory are taken, to compare with what was planned. */

import type { Gpu } from "../gpu/device.ts";

/** Bytes of a texel of the formats that kernels read. */
const TEXEL_BYTES = 16;

/** Counts buffers and textures that are made from now on, until it is disposed of. */
export class MemoryWatch implements Disposable {
  /** Most bytes that were taken at one time. */
  peakBytes = 0;
  readonly #device: GPUDevice;
  #bytes = 0;

  /**
   * Takes over `createBuffer` and `createTexture` of the device until disposed.
   * @param counts whether a buffer counts (default: all do)
   */
  constructor(
    { device }: Pick<Gpu, "device">,
    counts: (descriptor: GPUBufferDescriptor) => boolean = () => true,
  ) {
    this.#device = device;
    const createBuffer = device.createBuffer.bind(device);
    const createTexture = device.createTexture.bind(device);
    Object.defineProperty(device, "createBuffer", {
      configurable: true,
      value: (descriptor: GPUBufferDescriptor) => {
        const buffer = createBuffer(descriptor);
        return counts(descriptor) ? this.#counted(buffer, descriptor.size) : buffer;
      },
    });
    Object.defineProperty(device, "createTexture", {
      configurable: true,
      value: (descriptor: GPUTextureDescriptor) => {
        const texture = createTexture(descriptor);
        return this.#counted(texture, TEXEL_BYTES * texture.width * texture.height);
      },
    });
  }

  /** Bytes that are taken now. */
  get bytes(): number {
    return this.#bytes;
  }

  #counted<T extends GPUBuffer | GPUTexture>(made: T, bytes: number): T {
    this.#bytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.#bytes);
    const destroy = made.destroy.bind(made);
    let alive = true;
    Object.defineProperty(made, "destroy", {
      configurable: true,
      value: () => {
        if (alive) this.#bytes -= bytes;
        alive = false;
        destroy();
      },
    });
    return made;
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(this.#device, "createBuffer");
    Reflect.deleteProperty(this.#device, "createTexture");
  }
}
