import { assert, assertEquals, assertRejects } from "@std/assert";
import { acquireGpu, type Gpu, GpuError } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { UploadRing } from "../../src/gpu/upload_ring.ts";
import { anyGpu, DeviceWatch } from "./device.ts";

const SLOTS = 3;
const BYTES = 4096;

/** As another provider or another release of Deno: every map is awaited. */
const awaiting: Gpu = { ...anyGpu, native: false };

/** Some whole words that no other upload brings. */
function words(upload: number): Uint8Array<ArrayBuffer> {
  const length = [BYTES / 4, 1, 100][upload % 3];
  return new Uint8Array(Uint32Array.from({ length }, (_, i) => 10_000 * upload + i).buffer);
}

for (const [path, gpu] of [["blocking", anyGpu], ["awaited", awaiting]] as const) {
  Deno.test(`${path}: uploads arrive in their order, many more than there are buffers`, async () => {
    using recorder = new Recorder(gpu);
    using readback = new Readback(gpu);
    using watch = new DeviceWatch(gpu);
    const ring = new UploadRing(gpu, SLOTS, BYTES);
    assertEquals([...watch.alive.values()], [BYTES, BYTES, BYTES]);
    const place = createTensor(gpu, "place", BYTES / 4);
    const kept = createTensor(gpu, "kept", BYTES / 4);
    const expected = new Uint8Array(BYTES);
    for (let upload = 0; upload < 10 * SLOTS; upload++) {
      const data = words(upload);
      await ring.write(recorder, data, place);
      // As a kernel would: what an upload brought is used before the next one overwrites it.
      recorder.copy(place, kept, data.length);
      recorder.submit();
      expected.set(data);
      // The caller's bytes are free again at once.
      data.fill(255);
      if (upload % 7 === 0) {
        assertEquals(new Uint8Array(await readback.read(recorder, kept, BYTES)), expected);
      }
    }
    await ring.wait();
    assertEquals(new Uint8Array(await readback.read(recorder, kept, BYTES)), expected);
    const before = watch.alive.size;
    ring[Symbol.dispose]();
    assertEquals(watch.alive.size, before - SLOTS);
    for (const tensor of [place, kept]) tensor.destroy();
  });
}

Deno.test("waiting where nothing was written changes nothing", async () => {
  using recorder = new Recorder(anyGpu);
  using ring = new UploadRing(anyGpu, 1, 16);
  using readback = new Readback(anyGpu);
  const place = createTensor(anyGpu, "place", 4);
  await ring.wait();
  await ring.write(recorder, new Uint8Array([1, 2, 3, 4]), place);
  recorder.submit();
  await ring.wait();
  await ring.wait();
  assertEquals([...new Uint8Array(await readback.read(recorder, place, 4))], [1, 2, 3, 4]);
  place.destroy();
});

// The first uploads use buffers as they were made, later ones map them again.
for (const before of [0, SLOTS, 2 * SLOTS]) {
  Deno.test(`a lost device ends upload ${before} with a GpuError, and a wait as well`, async () => {
    const gpu = await acquireGpu();
    const recorder = new Recorder(gpu);
    using ring = new UploadRing(gpu, SLOTS, BYTES);
    const place = createTensor(gpu, "place", BYTES / 4);
    for (let upload = 0; upload < before; upload++) {
      await ring.write(recorder, words(upload), place);
      recorder.submit();
    }
    gpu.device.destroy();
    const error = await assertRejects(
      () => ring.write(recorder, words(before), place),
      GpuError,
      gpu.name,
    );
    assert(error.message.includes("lost"), error.message);
    await assertRejects(() => ring.wait(), GpuError, "lost");
  });
}
