import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type ForwardInput, GREEDY } from "../../src/denoise/predictor.ts";
import { type Gpu, GpuError } from "../../src/gpu/device.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { dawnForms, noDawnForm } from "../gpu/dawn.ts";
import { anyGpu, DeviceWatch, forms, withLimits } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { skipIf } from "../skip.ts";
import { goldenModel } from "./models.ts";

/** The model on a device whose bindings are smaller; `check` says what it bound. */
async function narrowed(
  gpu: Gpu,
  name: string,
  bytes: number,
  body: (model: Model) => Promise<void>,
): Promise<void> {
  using watch = new DeviceWatch(gpu);
  const narrow = withLimits(gpu, { maxStorageBufferBindingSize: bytes });
  using model = await loadModel(narrow, goldenPath(`checkpoints/${name}`));
  await body(model);
  assert(watch.largestBinding <= bytes, `${watch.largestBinding} bytes were bound`);
  assert(watch.largestBinding > bytes / 2, `only ${watch.largestBinding} bytes were bound`);
}

function inputsOf(model: Model, lengths: readonly number[]): ForwardInput[] {
  const random = new Random("split");
  return lengths.map((length, i) => {
    const ids = random.integers(length, model.config.embeddingSize);
    const choice = { ...GREEDY, temperature: i % 2, seed: i };
    return { ids, positions: Uint32Array.from(ids.keys()), choice };
  });
}

for (const [form, gpu] of forms) {
  // d_model 64 in f32: 312 of 320 embedding rows fit, of which 256 are whole tiles; 156 of 160
  // gate/up pairs, 128 in whole tiles; 104 rows of queries, keys and values.
  Deno.test(`weights in parts and rows in chunks, f32, ${form}: the same predictions`, async () => {
    const whole = await goldenModel(gpu, "mha-f32");
    const inputs = inputsOf(whole, [130, 65, 3]);
    const expected = await whole.predict(inputs);
    await narrowed(gpu, "mha-f32", 80000, async (model) => {
      assertEquals(await model.predict(inputs), expected);
      for (const [i, input] of inputs.entries()) {
        assertEquals((await model.predict([input]))[0], expected[i]);
      }
    });
  });

  // 586 of 1024 embedding rows fit, 293 of 768 gate/up pairs, and 73 rows of the logits.
  Deno.test(`weights in parts and rows in chunks, bf16, ${form}: the same logits`, async () => {
    const name = "llada-shape-bf16";
    const whole = await goldenModel(gpu, name);
    const [{ ids }] = inputsOf(whole, [150]);
    const attentionMask = Uint8Array.from(ids, (_, i) => i % 11 === 3 ? 0 : 1);
    const expected = [await whole.forward(ids), await whole.forward(ids, { attentionMask })];
    await narrowed(gpu, name, 300032, async (model) => {
      assertEquals(await model.forward(ids), expected[0]);
      assertEquals(await model.forward(ids, { attentionMask }), expected[1]);
    });
  });
}

Deno.test("a batch that is too large for one pass is run in several, with the same bits", async () => {
  const whole = await goldenModel(anyGpu, "mha-f32");
  const inputs = inputsOf(whole, [100, 100, 100, 100, 7]);
  const expected = await whole.predict(inputs);
  const reads = whole.readback.count;
  await whole.predict(inputs);
  assertEquals(whole.readback.count, reads + 1);
  await narrowed(anyGpu, "mha-f32", 65536, async (model) => {
    // 256 rows of 64 floats to a pass.
    assertEquals(await model.predict(inputs), expected);
    assertEquals(model.readback.count, 2);
  });
});

Deno.test("more rows than the device has workgroups to a dispatch go in several passes", async () => {
  const whole = await goldenModel(anyGpu, "mha-f32");
  const inputs = inputsOf(whole, [60, 70]);
  const expected = await whole.predict(inputs);
  const few = withLimits(anyGpu, { maxComputeWorkgroupsPerDimension: 100 });
  using model = await loadModel(few, goldenPath("checkpoints/mha-f32"));
  assertEquals(await model.predict(inputs), expected);
  assertEquals(model.readback.count, 2);
  const long = inputsOf(whole, [101]);
  await assertRejects(() => model.predict(long), GpuError, "101 rows in one forward pass");
  // It is refused before it could join a pass with others.
  assertThrows(() => model.predictJob(long), GpuError, "101 rows in one forward pass");
});

Deno.test({
  ...skipIf(noDawnForm("matrix units"), "Dawn: rows in whole matrices are no more than workgroups"),
  async fn() {
    const gpu = dawnForms.get("matrix units")!;
    const whole = await goldenModel(gpu, "gqa-bf16");
    // Not a multiple of any unit's rows.
    const few = withLimits(gpu, { maxComputeWorkgroupsPerDimension: 97 });
    using model = await loadModel(few, goldenPath("checkpoints/gqa-bf16"));
    const inputs = inputsOf(whole, [50, 47]);
    assertEquals(await model.predict(inputs), await whole.predict(inputs));
    assertEquals(model.readback.count, 2);
  },
});

Deno.test("a sequence beyond what a pass can take is refused, and the next is answered", async () => {
  const whole = await goldenModel(anyGpu, "mha-f32");
  const [long, short] = inputsOf(whole, [150, 20]);
  const expected = await whole.predict([short]);
  await narrowed(anyGpu, "mha-f32", 32768, async (model) => {
    const refused = [
      () => model.predict([short, long]),
      () => model.forward(long.ids),
      () => model.topTokens(long, 3),
      () => model.openCanvas([{ ids: long.ids, promptLength: 4, endTokens: [], maskToken: 0 }]),
    ];
    for (const call of refused) {
      const error = await assertRejects(call, GpuError, "150 rows in one forward pass");
      assert(error.message.includes("has room for 128 at hidden size 64"), error.message);
    }
    assertEquals(await model.predict([short]), expected);
  });
});
