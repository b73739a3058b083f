import { assert, assertEquals, assertRejects } from "@std/assert";
import { acquireGpu, type Gpu } from "../../src/gpu/device.ts";
import { mapBuffers, QueueWait } from "../../src/gpu/mapping.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { multiplyAdd } from "../../src/kernels/multiply_add.ts";
import { anyGpu, DeviceWatch } from "./device.ts";

/** As another provider or another release of Deno: every map is awaited. */
const awaiting: Gpu = { ...anyGpu, native: false };

for (const [path, gpu] of [["blocking", anyGpu], ["awaited", awaiting]] as const) {
  Deno.test(`${path}: waiting takes as long as the work does, and little where there is none`, async () => {
    using recorder = new Recorder(gpu);
    using watch = new DeviceWatch(gpu);
    const queue = new QueueWait(gpu);
    const start = createTensor(gpu, "start", 32 * 64);
    const result = createTensor(gpu, "result", 32 * 64);
    const timed = async (rounds: number) => {
      multiplyAdd(recorder, start, result, { workgroups: 64, rounds, a: 0.999, b: 0.001 });
      recorder.submit();
      const begin = performance.now();
      await queue.wait();
      const waited = performance.now() - begin;
      const again = performance.now();
      await queue.wait();
      return { waited, idle: performance.now() - again };
    };
    await timed(1);
    // Others may take the core from the one or the other of what is short, not from all of them.
    const short = [];
    for (let i = 0; i < 8; i++) short.push(await timed(1));
    const long = await timed(1 << 15);
    const waited = Math.min(...short.map(({ waited }) => waited));
    const idle = Math.min(...[...short, long].map(({ idle }) => idle));
    assert(long.waited > 2 * waited, `${long.waited} ms after ${waited} ms`);
    assert(long.waited > 2 * idle, `${idle} ms with nothing to do`);
    for (const tensor of [start, result]) tensor.destroy();
    queue[Symbol.dispose]();
    assertEquals(watch.alive.size, 0);
  });
}

Deno.test("waiting for a lost device comes to an end", async () => {
  const gpu = await acquireGpu();
  const queue = new QueueWait(gpu);
  await queue.wait();
  gpu.device.destroy();
  await queue.wait().catch(() => {});
  queue[Symbol.dispose]();
});

Deno.test("a wait that fails is over for the device's owner, too", async () => {
  const told: boolean[] = [];
  const gpu = { ...anyGpu, native: false, onWait: (waits: boolean) => told.push(waits) };
  const notMappable = gpu.device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE });
  gpu.device.pushErrorScope("validation");
  await assertRejects(() => mapBuffers(gpu, [notMappable], GPUMapMode.READ));
  await gpu.device.popErrorScope();
  notMappable.destroy();
  assertEquals(told, [true, false]);
});
