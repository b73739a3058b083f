/** A device without memory for large buffers. */

import type { Gpu } from "../../src/gpu/device.ts";

const RLIMIT_AS = 9;
/** Bytes of address space that the process keeps for itself. */
const HEADROOM = 2 ** 29;

/** Whether the system can be made to have no memory for the device. */
export function canStarve({ software }: Pick<Gpu, "software">): boolean {
  return software && Deno.build.os === "linux";
}

/**
 * Until disposed of, the device has no memory for buffers above `most` bytes. A software device on
 * Linux really has none: they are asked for as large as they can be, and the system gives the process
 * no more. Elsewhere they are refused as a device would.
 */
export function scarceMemory(
  gpu: Pick<Gpu, "device" | "software">,
  most: number | (() => number),
): Disposable {
  const { device } = gpu;
  const own = Object.getOwnPropertyDescriptor(device, "createBuffer");
  const create = (descriptor: GPUBufferDescriptor): GPUBuffer =>
    (own?.value ?? GPUDevice.prototype.createBuffer).call(device, descriptor);
  const real = canStarve(gpu);
  using limited = new DisposableStack();
  if (real) limited.use(limitAddressSpace());
  Object.defineProperty(device, "createBuffer", {
    configurable: true,
    value(descriptor: GPUBufferDescriptor) {
      if (descriptor.size <= (typeof most === "number" ? most : most())) return create(descriptor);
      if (real) return create({ ...descriptor, size: device.limits.maxBufferSize & ~3 });
      const error = new GPUOutOfMemoryError("no room");
      device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
      // A buffer that is not valid, which everything that uses it is told of.
      return create({ size: 16, usage: 0 });
    },
  });
  const restored = limited.move();
  restored.defer(() => {
    if (own) Object.defineProperty(device, "createBuffer", own);
    else Reflect.deleteProperty(device, "createBuffer");
  });
  return restored;
}

/** The process gets hardly more address space than it has. */
function limitAddressSpace(): Disposable {
  const libc = Deno.dlopen("libc.so.6", {
    getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
    setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  });
  const before = new BigUint64Array(2);
  libc.symbols.getrlimit(RLIMIT_AS, before);
  // Deno itself may not read /proc without every permission.
  const { stdout } = new Deno.Command("cat", { args: [`/proc/${Deno.pid}/statm`] }).outputSync();
  const pages = Number(new TextDecoder().decode(stdout).split(" ")[0]);
  const limit = BigUint64Array.of(BigInt(4096 * pages + HEADROOM), before[1]);
  if (libc.symbols.setrlimit(RLIMIT_AS, limit) !== 0) throw new Error("setrlimit failed");
  return {
    [Symbol.dispose]() {
      libc.symbols.setrlimit(RLIMIT_AS, before);
      libc.close();
    },
  };
}
