import { assert, assertEquals, assertRejects } from "@std/assert";
import { acquireGpu, type Gpu, GpuError } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor, type Tensor, upload } from "../../src/gpu/tensor.ts";
import { anyGpu, DeviceWatch } from "./device.ts";
import { addKernel } from "./fill.ts";

/** As another provider or another release of Deno: every map is awaited. */
const awaiting: Gpu = { ...anyGpu, native: false };

function add(recorder: Recorder, places: Tensor, value: number): void {
  recorder.dispatch(addKernel, {
    bindings: { places },
    params: { at: 0, from_place: 0, value },
    workgroups: [1],
  });
}

for (const [path, gpu, reads] of [["blocking", anyGpu, 200], ["awaited", awaiting, 20]] as const) {
  Deno.test(`${path}: ${reads} reads in a row bring what was written last`, async () => {
    using recorder = new Recorder(gpu);
    using readback = new Readback(gpu);
    const places = createTensor(gpu, "places", 4);
    for (let i = 1; i <= reads; i++) {
      add(recorder, places, i);
      const [found] = new Uint32Array(await readback.read(recorder, places, 4));
      assertEquals(found, i * (i + 1) / 2);
    }
    assertEquals([readback.count, recorder.counts.submits], [reads, reads]);
    places.destroy();
  });

  Deno.test(`${path}: the buffer grows with what is asked, and results are the caller's`, async () => {
    using recorder = new Recorder(gpu);
    using watch = new DeviceWatch(gpu);
    const readback = new Readback(gpu);
    const kept: [ArrayBuffer, number][] = [];
    const places = createTensor(gpu, "places", 2 ** 16);
    for (const length of [1, 1024, 1025, 4, 5000, 5000, 2 ** 16, 7]) {
      const value = 1000 + length;
      upload(gpu, places, new Uint32Array(2 ** 16).fill(value));
      const bytes = await readback.read(recorder, places, 4 * length);
      assertEquals(bytes.byteLength, 4 * length);
      kept.push([bytes, value]);
    }
    for (const [bytes, value] of kept) {
      assert(new Uint32Array(bytes).every((found) => found === value));
    }
    // The tensor and one buffer for reading.
    assertEquals([...watch.alive.values()], [2 ** 18, 2 ** 18]);
    readback[Symbol.dispose]();
    places.destroy();
    assertEquals(watch.alive.size, 0);
  });
}

Deno.test("reads of two tensors do not mix, nor do two readbacks", async () => {
  using recorder = new Recorder(anyGpu);
  using first = new Readback(anyGpu);
  using second = new Readback(anyGpu);
  const a = createTensor(anyGpu, "a", 4);
  const b = createTensor(anyGpu, "b", 4);
  for (let i = 1; i < 20; i++) {
    add(recorder, a, 1);
    add(recorder, b, 100);
    assertEquals(new Uint32Array(await first.read(recorder, a))[0], i);
    assertEquals(new Uint32Array(await second.read(recorder, b))[0], 100 * i);
    assertEquals(new Uint32Array(await first.read(recorder, b))[0], 100 * i);
  }
  a.destroy();
  b.destroy();
});

/** A device with a readback that has read `before` times. */
async function readBefore(before: number) {
  const gpu = await acquireGpu();
  const recorder = new Recorder(gpu);
  const readback = new Readback(gpu);
  const places = createTensor(gpu, "places", 4);
  for (let i = 0; i < before; i++) await readback.read(recorder, places);
  return { gpu, read: () => readback.read(recorder, places) };
}

// The first map of a buffer is awaited and later ones are not.
for (const before of [0, 1, 2]) {
  Deno.test(`a lost device ends read ${before} and those after it with a GpuError`, async () => {
    const { gpu, read } = await readBefore(before);
    gpu.device.destroy();
    await assertRejects(read, GpuError);
    const error = await assertRejects(read, GpuError, gpu.name);
    assert(error.message.includes("lost"), error.message);
  });

  Deno.test(`an invalid call ends read ${before} and those after it with a GpuError`, async () => {
    const { gpu, read } = await readBefore(before);
    gpu.device.createShaderModule({ code: "this is no shader" });
    const error = await assertRejects(read, GpuError, `GPU error on ${gpu.name}`);
    assert(error.message.includes("this is no shader"), error.message);
    await assertRejects(read, GpuError, "this is no shader");
    gpu[Symbol.dispose]();
  });
}
