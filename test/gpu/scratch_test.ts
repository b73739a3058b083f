import { assertEquals, assertNotEquals } from "@std/assert";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Scratch } from "../../src/gpu/scratch.ts";
import { upload } from "../../src/gpu/tensor.ts";
import { anyGpu as gpu, DeviceWatch } from "./device.ts";

Deno.test("a name keeps its tensor until a larger one is asked for, then frees it in time", async () => {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  using watch = new DeviceWatch(gpu);
  const scratch = new Scratch(gpu, recorder);
  const small = scratch.get("x", 8);
  assertEquals(scratch.get("x", 4), small);
  assertNotEquals(scratch.get("y", 4).key, small.key);
  upload(gpu, small, Uint32Array.of(7));
  const copy = scratch.get("copy", 4);
  recorder.copy(small, copy, 4);
  const large = scratch.get("x", 100);
  assertNotEquals(large.key, small.key);
  // What was recorded before still has its buffer.
  assertEquals(watch.alive.has(small.buffer), true);
  assertEquals(new Uint32Array(await readback.read(recorder, copy, 4)), Uint32Array.of(7));
  assertEquals(watch.alive.has(small.buffer), false);
  assertEquals(new Uint32Array(await readback.read(recorder, large)), new Uint32Array(100));
  scratch[Symbol.dispose]();
  readback[Symbol.dispose]();
  assertEquals(watch.alive.size, 0);
});
