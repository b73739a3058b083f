/** Devices for tests, one for each form of the kernels, and ways to watch or to narrow them. */

import { acquireGpu, type Gpu, GpuError, type GpuFeature } from "../../src/gpu/device.ts";
import { type Element, ELEMENTS } from "../../src/gpu/kernel.ts";

/** How kernels exchange rows: within a subgroup, plainly through workgroup memory, or not at all. */
export type DeviceForm = "subgroups" | "plain" | "uniform";

/** The form that programs get. */
export const anyGpu: Gpu = await acquireGpu();

async function acquireForms(): Promise<Map<DeviceForm, Gpu>> {
  const plain = await acquireGpu({ subgroups: false, rowForm: "exchanged" });
  if (!anyGpu.subgroups) return new Map([["plain", plain]]);
  // A GPU exchanges only where it is asked to.
  const exchanges = anyGpu.rowForm === "exchanged";
  const subgroups = exchanges ? anyGpu : await acquireGpu({ rowForm: "exchanged" });
  return new Map([["subgroups", subgroups], ["plain", plain]]);
}

/** Every form of exchange that this machine has; a test that needs one alone takes {@linkcode anyGpu}. */
export const forms: ReadonlyMap<DeviceForm, Gpu> = await acquireForms();

/** And rows at addresses that all lanes share, which differs in kernels that declare `rows` only. */
export const allForms: ReadonlyMap<DeviceForm, Gpu> = new Map([
  ...forms,
  ["uniform", await acquireGpu({ subgroups: false, rowForm: "uniform" })],
]);

/** Elements that this machine's kernels can keep numbers in. */
export const elements: readonly Element[] = ELEMENTS.filter((element) =>
  element !== "f16" || anyGpu.features.includes("shader-f16")
);

/** Why something that needs an optional feature is not run on a device; undefined where it is. */
export function lacks(
  gpu: Pick<Gpu, "features">,
  feature: GpuFeature | undefined,
): string | undefined {
  const has = feature === undefined || gpu.features.includes(feature);
  return has ? undefined : `this device lacks ${feature}`;
}

/** Limits that decide how tensors are split and rows are chunked. */
export type NarrowLimits = {
  readonly [K in keyof GPUSupportedLimits]?: number;
};

/** The same device with lower limits than it has; they are the host's to keep, so watch them. */
export function withLimits(gpu: Gpu, narrow: NarrowLimits): Gpu {
  const limits = new Proxy(gpu.limits, {
    get: (target, name) =>
      Object.hasOwn(narrow, name)
        ? narrow[name as keyof NarrowLimits]
        : Reflect.get(target, name, target),
  });
  return {
    ...gpu,
    limits,
    checkBufferSize(label, bytes) {
      gpu.checkBufferSize(label, bytes);
      if (bytes <= limits.maxBufferSize && bytes <= limits.maxStorageBufferBindingSize) return;
      throw new GpuError(`${label} needs ${bytes} bytes in one buffer, which is above the limit`);
    },
    [Symbol.dispose]: () => gpu[Symbol.dispose](),
  };
}

/** Watches a device: the buffers that are alive, what is bound, and the largest region bound. */
export class DeviceWatch implements Disposable {
  /** Buffers, and textures of four f32, made and not destroyed, by their size in bytes. */
  readonly alive = new Map<GPUBuffer | GPUTexture, number>();
  /** Bytes of the largest storage binding so far. */
  largestBinding = 0;
  /** Bytes of the largest buffer so far. */
  largestBuffer = 0;
  /** Bind groups made. */
  bindGroups = 0;
  readonly #device: GPUDevice;

  /** Takes over what makes buffers, textures and bind groups of the device until disposed. */
  constructor({ device }: Pick<Gpu, "device">) {
    this.#device = device;
    const { createBuffer, createTexture, createBindGroup } = GPUDevice.prototype;
    const { alive } = this;
    Object.defineProperty(device, "createBuffer", {
      configurable: true,
      value: (descriptor: GPUBufferDescriptor) => {
        const buffer = createBuffer.call(device, descriptor);
        alive.set(buffer, buffer.size);
        this.largestBuffer = Math.max(this.largestBuffer, buffer.size);
        Object.defineProperty(buffer, "destroy", {
          value() {
            alive.delete(buffer);
            GPUBuffer.prototype.destroy.call(buffer);
          },
        });
        return buffer;
      },
    });
    Object.defineProperty(device, "createTexture", {
      configurable: true,
      value: (descriptor: GPUTextureDescriptor) => {
        const texture = createTexture.call(device, descriptor);
        alive.set(texture, 16 * texture.width * texture.height);
        Object.defineProperty(texture, "destroy", {
          value() {
            alive.delete(texture);
            GPUTexture.prototype.destroy.call(texture);
          },
        });
        return texture;
      },
    });
    Object.defineProperty(device, "createBindGroup", {
      configurable: true,
      value: (descriptor: GPUBindGroupDescriptor) => {
        this.bindGroups++;
        for (const { resource } of descriptor.entries) {
          // A texture's view is no region of a buffer.
          if (!("buffer" in resource)) continue;
          const { buffer, size = buffer.size } = resource;
          if ((buffer.usage & GPUBufferUsage.STORAGE) === 0) continue;
          this.largestBinding = Math.max(this.largestBinding, size);
        }
        return createBindGroup.call(device, descriptor);
      },
    });
  }

  [Symbol.dispose](): void {
    Reflect.deleteProperty(this.#device, "createBuffer");
    Reflect.deleteProperty(this.#device, "createTexture");
    Reflect.deleteProperty(this.#device, "createBindGroup");
  }
}
