import { assert, assertEquals, assertThrows } from "@std/assert";
import { embedKernel } from "../../src/kernels/embed.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf } from "../../src/gpu/tensor.ts";
import { anyGpu, DeviceWatch, withLimits } from "./device.ts";
import { addKernel, fillKernel } from "./fill.ts";

// Counts of submits are those of a software adapter, whatever runs the tests.
const gpu: Gpu = { ...withLimits(anyGpu, {}), software: true };

async function words(recorder: Recorder, tensor: Tensor, from: Gpu = gpu): Promise<number[]> {
  using readback = new Readback(from);
  return [...new Uint32Array(await readback.read(recorder, tensor))];
}

function add(recorder: Recorder, places: Tensor, at: number, from: number, value: number): void {
  recorder.dispatch(addKernel, {
    bindings: { places },
    params: { at, from_place: from, value },
    workgroups: [1],
  });
}

Deno.test("every dispatch has its own parameters and sees what the one before wrote", async () => {
  using recorder = new Recorder(gpu);
  const length = 200;
  const places = createTensor(gpu, "places", length);
  for (let i = 1; i < length; i++) add(recorder, places, i, i - 1, i);
  const found = await words(recorder, places);
  assertEquals(found, Array.from({ length }, (_, i) => i * (i + 1) / 2));
  assertEquals(recorder.counts, { dispatches: length - 1, submits: 1 });
  places.destroy();
});

Deno.test("more parameters than 256 KiB in one submit change nothing but the submits", async () => {
  // At an alignment of 256 bytes there is room for 1024 dispatches.
  const aligned = withLimits(gpu, { minUniformBufferOffsetAlignment: 256 });
  using recorder = new Recorder(aligned);
  const length = 2500;
  const places = createTensor(gpu, "places", length);
  for (let i = 1; i < length; i++) add(recorder, places, i, i - 1, 3);
  assertEquals(recorder.counts.submits, 2);
  const found = await words(recorder, places, aligned);
  assertEquals(found, Array.from({ length }, (_, i) => 3 * i));
  assertEquals(recorder.counts, { dispatches: length - 1, submits: 3 });
  places.destroy();
});

Deno.test("a GPU begins while the rest is recorded, in parts that grow; a software adapter has all at once", async () => {
  const software = new Recorder(gpu);
  assertEquals(software.firstSubmit, Infinity);
  software[Symbol.dispose]();
  using recorder = new Recorder({ ...gpu, software: false });
  const first = recorder.firstSubmit;
  const length = 7 * first + 4;
  const places = createTensor(gpu, "places", length);
  const submits: number[] = [];
  for (let i = 1; i < length; i++) {
    add(recorder, places, i, i - 1, 2);
    if (submits.length < recorder.counts.submits) submits.push(i - 1);
  }
  assertEquals(submits, [first, 3 * first, 7 * first]);
  assertEquals(await words(recorder, places), Array.from({ length }, (_, i) => 2 * i));
  assertEquals(recorder.counts.submits, 4);
  // What is recorded after a submit begins with a small part again, and so does it after an error.
  for (let i = 0; i < first + 1; i++) add(recorder, places, 1, 0, 1);
  assertEquals(recorder.counts.submits, 5);
  recorder.abandon();
  for (let i = 0; i < first; i++) add(recorder, places, 1, 0, 1);
  assertEquals(recorder.counts.submits, 5);
  // Asked to, a GPU waits for all of it as well, from now on.
  recorder.firstSubmit = Infinity;
  for (let i = 0; i < 2 * first; i++) add(recorder, places, 1, 0, 1);
  assertEquals(recorder.counts.submits, 5);
  recorder.abandon();
  places.destroy();
});

Deno.test("parameters keep their type: large integers, fractions, negative numbers", async () => {
  using recorder = new Recorder(gpu);
  const places = createTensor(gpu, "places", 4);
  add(recorder, places, 0, 1, 0xfffffffe);
  assertEquals((await words(recorder, places))[0], 0xfffffffe);
  recorder.dispatch(fillKernel, {
    bindings: { places },
    params: { value: -0.1 },
    workgroups: [4],
  });
  using readback = new Readback(gpu);
  const found = new Float32Array(await readback.read(recorder, places));
  assertEquals([...found], Array(4).fill(Math.fround(-0.1)));
  places.destroy();
});

Deno.test("constants make kernels of their own; without one the default counts", async () => {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const places = createTensor(gpu, "places", 8);
  for (const [constants, expected] of [[{ FACTOR: 3 }, 6], [undefined, 2]] as const) {
    recorder.dispatch(fillKernel, {
      bindings: { places },
      params: { value: 2 },
      constants,
      workgroups: [8],
    });
    const found = new Float32Array(await readback.read(recorder, places));
    assertEquals([...found], Array(8).fill(expected));
  }
  places.destroy();
});

Deno.test("abandon forgets what was recorded, and the next records run alone", async () => {
  using recorder = new Recorder(gpu);
  const places = createTensor(gpu, "places", 4);
  const source = tensorOf(gpu, "source", Uint32Array.of(9, 9, 9, 9));
  add(recorder, places, 0, 0, 5);
  recorder.copy(source, places);
  recorder.abandon();
  add(recorder, places, 1, 1, 7);
  assertEquals(await words(recorder, places), [0, 7, 0, 0]);
  assertEquals(recorder.counts.submits, 1);
  places.destroy();
  source.destroy();
});

Deno.test("what was bound before an abandon is bound anew: a bind group may be what failed", async () => {
  using recorder = new Recorder(gpu);
  const places = createTensor(gpu, "places", 4);
  const { device } = gpu;
  const { createBindGroup } = GPUDevice.prototype;
  device.pushErrorScope("validation");
  Object.defineProperty(device, "createBindGroup", {
    configurable: true,
    value: ({ layout }: GPUBindGroupDescriptor) =>
      createBindGroup.call(device, { layout, entries: [] }),
  });
  try {
    add(recorder, places, 0, 0, 5);
  } finally {
    Reflect.deleteProperty(device, "createBindGroup");
    assert(await device.popErrorScope(), "the bind group is as it should be");
  }
  recorder.abandon();
  add(recorder, places, 1, 1, 7);
  assertEquals(await words(recorder, places), [0, 7, 0, 0]);
  gpu.throwIfFaulty();
  places.destroy();
});

Deno.test("copies and dispatches keep their order", async () => {
  using recorder = new Recorder(gpu);
  const a = tensorOf(gpu, "a", Uint32Array.of(1, 2, 3, 4));
  const b = createTensor(gpu, "b", 4);
  add(recorder, a, 0, 0, 10);
  recorder.copy(a, b);
  add(recorder, a, 0, 0, 10);
  add(recorder, b, 3, 0, 100);
  recorder.copy(b, a, 8);
  assertEquals(await words(recorder, b), [11, 2, 3, 111]);
  assertEquals(await words(recorder, a), [11, 2, 3, 4]);
  a.destroy();
  b.destroy();
});

Deno.test("a region is cleared between the dispatches around it, and nothing beside it", async () => {
  using recorder = new Recorder(gpu);
  const places = tensorOf(gpu, "places", new Uint32Array(128).fill(7));
  add(recorder, places, 70, 0, 1);
  recorder.clear(places.part(64, 8));
  add(recorder, places, 65, 0, 1);
  const expected = new Uint32Array(128).fill(7).fill(0, 64, 72);
  expected[65] = 8;
  assertEquals(await words(recorder, places), [...expected]);
  places.destroy();
});

Deno.test("a retired tensor lives until its records are submitted, or abandoned", async () => {
  using recorder = new Recorder(gpu);
  using watch = new DeviceWatch(gpu);
  const old = createTensor(gpu, "old", 4);
  const places = createTensor(gpu, "places", 4);
  add(recorder, old, 0, 0, 5);
  recorder.copy(old, places);
  recorder.retire(old);
  assert(watch.alive.has(old.buffer));
  assertEquals((await words(recorder, places))[0], 5);
  assert(!watch.alive.has(old.buffer));
  gpu.throwIfFaulty();

  const dropped = createTensor(gpu, "dropped", 4);
  add(recorder, dropped, 0, 0, 1);
  recorder.retire(dropped);
  recorder.abandon();
  assert(!watch.alive.has(dropped.buffer));
  // A bind group of a destroyed buffer would fail here.
  add(recorder, places, 0, 0, 1);
  assertEquals((await words(recorder, places))[0], 6);
  places.destroy();
  assertEquals(watch.alive.size, 0);
});

Deno.test("bind groups are made once, and again only when one of their tensors was retired", async () => {
  using recorder = new Recorder(gpu);
  using watch = new DeviceWatch(gpu);
  const kept = createTensor(gpu, "kept", 4);
  const use = (tensor: Tensor) => add(recorder, tensor, 0, 0, 1);
  for (let round = 1; round <= 3; round++) {
    const passing = createTensor(gpu, "passing", 4);
    for (const tensor of [kept, passing, kept, passing]) use(tensor);
    recorder.retire(passing);
    recorder.submit();
    assertEquals(watch.bindGroups, 1 + round);
  }
  assertEquals((await words(recorder, kept))[0], 6);
  recorder.retire(kept);
  recorder.submit();
  assertEquals(watch.alive.size, 0);
  gpu.throwIfFaulty();
});

Deno.test("no workgroups, no dispatch; too many are refused by name", () => {
  using recorder = new Recorder(withLimits(gpu, { maxComputeWorkgroupsPerDimension: 100 }));
  const places = createTensor(gpu, "places", 4);
  const call = { bindings: { places }, params: { value: 1 } };
  for (const workgroups of [[0], [5, 0], [5, 5, 0]] as [number, number?, number?][]) {
    recorder.dispatch(fillKernel, { ...call, workgroups });
  }
  assertEquals(recorder.counts.dispatches, 0);
  assertThrows(
    () => recorder.dispatch(fillKernel, { ...call, workgroups: [NaN] }),
    Error,
    "fill: NaN x 1 x 1 workgroups, the device allows 100",
  );
  assertThrows(
    () => recorder.dispatch(fillKernel, { ...call, workgroups: [1, 101] }),
    Error,
    "fill: 1 x 101 x 1 workgroups, the device allows 100",
  );
  places.destroy();
});

Deno.test("a kernel that reads weights must be given them, another must not", () => {
  using recorder = new Recorder(gpu);
  const places = createTensor(gpu, "places", 4);
  const params = { rows: 1, blocks: 1, first_token: 0, columns: 1, first_row: 0 };
  assertThrows(
    () =>
      recorder.dispatch(embedKernel, {
        bindings: { ids: places, row_index: places, x: places },
        params,
        workgroups: [1],
      }),
    Error,
    "embed: needs weights",
  );
  const weights = {
    scheme: "f32",
    snippet: "",
    arithmetic: "f32" as const,
    buffers: [places.buffer],
  };
  const call = { bindings: { places }, params: { value: 1 }, weights, workgroups: [1] as [number] };
  assertThrows(() => recorder.dispatch(fillKernel, call), Error, "fill: reads no weights");
  places.destroy();
});
