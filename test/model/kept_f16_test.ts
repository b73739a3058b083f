/** Keys and values kept in 16 bits: how far that takes a model from f32, and what it never does. */

import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { type CanvasStep, GREEDY } from "../../src/denoise/predictor.ts";
import { GpuError } from "../../src/gpu/device.ts";
import type { Element } from "../../src/gpu/kernel.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu, DeviceWatch, elements } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { loadReference } from "../reference/llada.ts";
import { goldenModel, modelOf, TINY_TARGET } from "./models.ts";
import { type CheckpointShape, withFolder, writeCheckpoint } from "./random_checkpoint.ts";

/**
 * Root mean square of what f16 changes in logits, of theirs. Measured: 0.0002 to 0.0009; a device that
 * does not round to nearest loses twice as much.
 */
const MOST_CHANGE = 2.5e-3;

const unlessMissing = { ignore: !elements.includes("f16") };

const sumOfSquares = (values: Float32Array) =>
  values.reduce((sum, value) => sum + value * value, 0);

const idsFor = ({ config }: Model, length: number) => {
  const random = new Random("kept in f16");
  return random.integers(length, config.embeddingSize)
    .map((id) => random.next() < 0.5 ? config.maskTokenId : id);
};

for (const name of ["mha-f32", "gqa-bf16", "tiny-target"]) {
  const open = (element: Element) =>
    name === "tiny-target"
      ? modelOf(anyGpu, TINY_TARGET, element)
      : goldenModel(anyGpu, name, element);

  Deno.test({
    name: `${name}: f16 takes logits a little away from f32's, and only those of a pass that keeps`,
    ...unlessMissing,
    async fn() {
      const [f32, f16] = [await open("f32"), await open("f16")];
      const ids = idsFor(f32, 45);
      const expected = (await f32.forward(ids)).logits;
      assertEquals((await f32.forward(ids, { kept: true })).logits, expected);
      assertEquals((await f16.forward(ids)).logits, expected);
      const { logits } = await f16.forward(ids, { kept: true });
      const error = sumOfSquares(logits.map((logit, i) => logit - expected[i]));
      const change = Math.sqrt(error / sumOfSquares(expected));
      assert(change > 1e-5 && change < MOST_CHANGE, `${change}`);
    },
  });
}

const SHAPE: CheckpointShape = {
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  layers: 2,
  ffnSize: 48,
  vocabSize: 64,
};

Deno.test({
  name: "keys and values beyond the largest f16 become that, and logits stay numbers",
  ...unlessMissing,
  fn: () =>
    withFolder(async (dir) => {
      // Values of the first layer are beyond it now and then; keys of the second nearly all.
      const scales: Readonly<Record<string, number>> = {
        "model.transformer.blocks.0.v_proj.weight": 3e4,
        "model.transformer.blocks.1.k_proj.weight": 1e9,
      };
      await writeCheckpoint(dir, { ...SHAPE, scaleOf: (name) => scales[name] ?? 1 }, "large");
      using model = await loadModel(anyGpu, dir, { kvCache: "f16" });
      const ids = idsFor(model, 20);
      const { logits, hidden } = await model.forward(ids, { kept: true });
      assert(logits.every(Number.isFinite));
      const oracle = loadReference(dir);
      const all = { kept: [], first: 0, end: ids.length };
      const clamped = oracle.forward(ids, undefined, { ...all, element: "f16" });
      const whole = oracle.forward(ids, undefined, all);
      const layer = (from: ReadonlyMap<string, ArrayLike<number>>) => from.get("block.0.out")!;
      let beyond = 0;
      for (let i = 0; i < ids.length * 32; i++) {
        const expected = layer(clamped.hidden)[i];
        assertAlmostEquals(layer(hidden)[i], expected, 2 ** -9 * 65504);
        if (Math.abs(expected - layer(whole.hidden)[i]) > 0.01 * 65504) beyond++;
      }
      assert(beyond > 20, `${beyond} hidden states depended on the limit`);
    }),
});

Deno.test({
  name: "what is kept takes half the memory",
  ...unlessMissing,
  async fn() {
    const refresh: CanvasStep = {
      blockEnd: 32,
      commits: 0,
      cache: "refresh",
      remasking: "low_confidence",
      choices: [GREEDY],
      stopAtEnd: false,
    };
    const bytes = async (element: Element) => {
      const model = await goldenModel(anyGpu, "mha-f32", element);
      const ids = idsFor(model, 32);
      const canvas = await model.openCanvas([
        { ids, promptLength: 0, endTokens: [], maskToken: model.config.maskTokenId },
      ]);
      using watch = new DeviceWatch(anyGpu);
      await canvas.run([refresh]);
      const sizes = [...watch.alive].filter(([{ label }]) => /^(keys|values) \d/.test(label));
      canvas.destroy();
      return sizes.reduce((sum, [, size]) => sum + size, 0);
    };
    const { layers, kvHeads, headDim } = (await goldenModel(anyGpu, "mha-f32")).config;
    assertEquals(await bytes("f32"), 4 * 2 * layers * 32 * kvHeads * headDim);
    assertEquals(await bytes("f16"), 2 * 2 * layers * 32 * kvHeads * headDim);
  },
});

Deno.test("a device without f16 keeps f32, and refuses f16 with what to do", async () => {
  const gpu = { ...anyGpu, features: [] };
  const folder = goldenPath("checkpoints/mha-f32");
  using model = await loadModel(gpu, folder);
  const ids = idsFor(model, 9);
  const { logits } = await model.forward(ids, { kept: true });
  assertEquals(logits, (await model.forward(ids)).logits);
  await assertRejects(
    () => loadModel(gpu, folder, { kvCache: "f16" }),
    GpuError,
    "cannot keep keys and values in f16: it has no shader-f16. Keep them in f32",
  );
});
