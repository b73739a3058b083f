import { assert, assertEquals, assertRejects } from "@std/assert";
import { GpuError } from "../../../src/gpu/device.ts";
import { checkRoom } from "../../../src/model/memory/memory_room.ts";
import { UNLIMITED } from "../../../src/model/memory/counting_gpu.ts";
import { syntheticModel } from "../../../src/model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES } from "../../../src/model/synthetic/synthetic_shape.ts";
import { quantised } from "../../../src/quant/scheme.ts";

const DEVICE = { ...UNLIMITED, name: "a device", software: false };

Deno.test("models that are loaded as asked for are refused where they do not fit", async () => {
  using target = syntheticModel(SYNTHETIC_SHAPES["tiny-target"]);
  using draft = syntheticModel(SYNTHETIC_SHAPES["tiny-target"], { seed: 2 });
  const one = { name: "target", ...target };
  const other = { name: "draft", ...draft };
  const alone = await checkRoom(DEVICE, [one], 32);
  const both = await checkRoom(DEVICE, [one, other], 32);
  assert(alone > target.checkpoint.byteLength);
  assert(both > alone + draft.checkpoint.byteLength && both <= 2 * alone, `${both}, ${alone}`);
  assertEquals(await checkRoom(DEVICE, [one, other], 32, both), both);
  await assertRejects(
    () => checkRoom(DEVICE, [one, other], 32, both - 1024),
    GpuError,
    "target and draft need ",
  );
  await assertRejects(
    () => checkRoom(DEVICE, [one, other], 32, both - 1024),
    GpuError,
    "1.0 KiB more than what a device has free",
  );
  const smaller = { ...one, precision: { layers: quantised("q4", 32) } };
  assert(await checkRoom(DEVICE, [smaller], 32) < alone);
  const long = await checkRoom(DEVICE, [one], Infinity);
  assert(long > alone, "activations of the longest sequence count");
});
