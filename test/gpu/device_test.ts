import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  acquireGpu,
  type Gpu,
  GpuError,
  noAdapterMessage,
  VULKAN_DRIVER_COMMANDS,
} from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { anyGpu, forms } from "./device.ts";
import { fillKernel } from "./fill.ts";

/** Deno's provider with an adapter that is changed on its way. */
function provider(
  change: (adapter: GPUAdapter) => Partial<Record<keyof GPUAdapter, unknown>>,
): GPU {
  return {
    async requestAdapter(options: GPURequestAdapterOptions) {
      const adapter = await navigator.gpu.requestAdapter(options);
      assert(adapter);
      const changed = change(adapter);
      return new Proxy(adapter, {
        get(target, name) {
          if (Object.hasOwn(changed, name)) return changed[name as keyof GPUAdapter];
          const value = Reflect.get(target, name, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    },
  } as unknown as GPU;
}

/** A provider that knows all optional features but these. */
function refusing(...features: string[]): GPU {
  return provider((adapter) => ({
    requestDevice(descriptor: GPUDeviceDescriptor) {
      const refused = descriptor.requiredFeatures?.find((name) => features.includes(name));
      if (refused) return Promise.reject(new TypeError(`no feature ${refused}`));
      return adapter.requestDevice(descriptor);
    },
  }));
}

async function assertWorks(gpu: Gpu): Promise<void> {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const places = createTensor(gpu, "places", 4);
  recorder.dispatch(fillKernel, {
    bindings: { places },
    params: { value: 2.5 },
    constants: { FACTOR: 2 },
    workgroups: [4],
  });
  assertEquals([...new Float32Array(await readback.read(recorder, places))], [5, 5, 5, 5]);
  places.destroy();
}

Deno.test("no adapter: the message names what to install on Linux", async () => {
  const message = noAdapterMessage("linux");
  assertEquals(Object.keys(VULKAN_DRIVER_COMMANDS), ["Debian/Ubuntu", "Fedora", "Arch"]);
  for (
    const line of [
      "Debian/Ubuntu: sudo apt-get install mesa-vulkan-drivers",
      "Fedora: sudo dnf install mesa-vulkan-drivers",
      "Arch: sudo pacman -S vulkan-swrast",
    ]
  ) assert(message.split("\n").some((text) => text.trim() === line), line);
  for (const os of ["darwin", "windows"]) {
    assert(!noAdapterMessage(os).includes("apt-get"));
    assert(noAdapterMessage(os).includes("driver"));
  }
  const nothing = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  const error = await assertRejects(() => acquireGpu({ provider: nothing }), GpuError);
  assertEquals(error.message, noAdapterMessage(Deno.build.os));
});

Deno.test("what was found out about the device is said", async () => {
  using gpu = await acquireGpu();
  assertEquals(gpu.native, true);
  using named = await acquireGpu({ provider: navigator.gpu });
  assertEquals([named.native, named.features], [true, gpu.features]);
  assert(gpu.name.length > 0);
  assertEquals(gpu.limits.maxBufferSize, gpu.device.limits.maxBufferSize);
  assertEquals(gpu.subgroups, forms.has("subgroups"));
  using plain = await acquireGpu({ subgroups: false });
  assertEquals(plain.subgroups, false);
  await assertWorks(gpu);
  await assertWorks(plain);
});

Deno.test("a provider of one's own is used; its features are tried one by one", async () => {
  using all = await acquireGpu({ provider: refusing() });
  assertEquals([all.native, [...all.features]], [false, [...anyGpu.features]]);
  await assertWorks(all);

  using none = await acquireGpu({
    provider: refusing("subgroups", "shader-f16", "timestamp-query"),
  });
  assertEquals([none.subgroups, [...none.features]], [false, []]);
  await assertWorks(none);

  using some = await acquireGpu({ provider: refusing("subgroups") });
  assertEquals(some.subgroups, false);
  assertEquals([...some.features], anyGpu.features.filter((name) => name !== "subgroups"));
  await assertWorks(some);
});

Deno.test("subgroups smaller than the kernels need are not used", async () => {
  using gpu = await acquireGpu({
    provider: provider(() => ({ info: { description: "small", subgroupMinSize: 4 } })),
  });
  assertEquals([gpu.name, gpu.subgroups], ["small", false]);
});

Deno.test("an adapter that gives no device is an error, not a wait", async () => {
  const broken = provider(() => ({
    requestDevice: () => Promise.reject(new TypeError("out of devices")),
  }));
  await assertRejects(() => acquireGpu({ provider: broken }), TypeError, "out of devices");
});

Deno.test("a buffer beyond a limit is refused with its name, its size and the limit's", () => {
  const { maxStorageBufferBindingSize: most, maxBufferSize } = anyGpu.limits;
  anyGpu.checkBufferSize("fits", Math.min(most, maxBufferSize));
  const error = assertThrows(() => anyGpu.checkBufferSize("wide", maxBufferSize + 4), GpuError);
  assert(error.message.startsWith(`wide needs ${maxBufferSize + 4} bytes`), error.message);
  assert(error.message.includes(`${maxBufferSize} (maxBufferSize)`), error.message);
  assertThrows(
    () => anyGpu.checkBufferSize("wide", most + 4),
    GpuError,
    "maxStorageBufferBindingSize",
  );
  assertThrows(() => createTensor(anyGpu, "scores", most / 4 + 4), GpuError, "scores needs");
});

Deno.test("a fault is reported until the end; closing a device is none", async () => {
  const gpu = await acquireGpu();
  gpu.throwIfFaulty();
  gpu.device.createBuffer({ size: 16, usage: 0xffff });
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertThrows(() => gpu.throwIfFaulty(), GpuError, gpu.name);
  assertThrows(() => gpu.throwIfFaulty(), GpuError, gpu.name);

  const closed = await acquireGpu();
  closed[Symbol.dispose]();
  await closed.device.lost;
  closed.throwIfFaulty();
});
