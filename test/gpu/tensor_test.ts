import { assertEquals } from "@std/assert";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { createTensor, tensorOf, upload } from "../../src/gpu/tensor.ts";
import { anyGpu as gpu } from "./device.ts";

Deno.test("a new tensor is zero, in whole units of 16 bytes", async () => {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  for (const [elements, bytes] of [[0, 16], [1, 16], [4, 16], [5, 32]]) {
    const tensor = createTensor(gpu, "zero", elements);
    assertEquals(tensor.byteLength, bytes);
    const found = new Uint8Array(await readback.read(recorder, tensor));
    assertEquals(found, new Uint8Array(bytes));
    tensor.destroy();
  }
});

Deno.test("data goes where it is put; a part reads its place", async () => {
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const tensor = tensorOf(gpu, "numbers", Uint32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  upload(gpu, tensor, Uint32Array.of(50, 60), 4);
  const part = tensor.part(2, 4);
  upload(gpu, part, Uint32Array.of(30), 0);
  upload(gpu, part, new Uint32Array());
  assertEquals([...new Uint32Array(await readback.read(recorder, part))], [30, 4, 50, 60]);
  assertEquals([...new Uint32Array(await readback.read(recorder, part.part(1, 2)))], [4, 50]);
  tensor.destroy();
});

Deno.test("a window ends where the tensor does", () => {
  const tensor = createTensor(gpu, "sixteen", 16);
  const { byteOffset, byteLength } = tensor.window(4, 8);
  assertEquals([byteOffset, byteLength], [16, 32]);
  assertEquals(tensor.window(4, 100).key, tensor.part(4, 12).key);
  tensor.destroy();
});

Deno.test("tensors of one region have one key, others have others", () => {
  const a = createTensor(gpu, "a", 64);
  const b = createTensor(gpu, "a", 64);
  assertEquals(a.part(0, 64).key, a.key);
  assertEquals(a.part(8, 8).part(0, 4).key, a.part(8, 4).key);
  const keys = [a.key, b.key, a.part(0, 8).key, a.part(8, 8).key, b.part(8, 8).key];
  assertEquals(new Set(keys).size, keys.length);
  a.destroy();
  b.destroy();
});
