/** Memory runs out in a shared run: every canvas is as before, and the same work runs in parts. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { type CanvasStep, GREEDY } from "../../../src/denoise/predictor.ts";
import { GpuMemoryError } from "../../../src/gpu/device.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import type { Model } from "../../../src/model/model.ts";
import { alone } from "../../alone.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { scarceMemory } from "../../gpu/scarce_memory.ts";
import { Random } from "../../kernels/random.ts";
import { goldenPath } from "../../reference/golden.ts";

const canvasOf = (model: Model, length: number, seed: string) => {
  const { maskTokenId: mask, embeddingSize } = model.config;
  const ids = new Random(seed).integers(length, embeddingSize).fill(mask, 8);
  return model.canvas([{ ids, promptLength: 8, endTokens: [], maskToken: mask }]);
};

/** A refresh, then parts of one block and of the next, which read what those before them kept. */
const stepsOf = (length: number): CanvasStep[] =>
  (["refresh", { first: 8, end: 20 }, { first: 20, end: length }, { first: 8, end: 20 }] as const)
    .map((cache, step) => ({
      blockStart: step === 2 ? 20 : 8,
      blockEnd: step === 2 ? length : 20,
      commits: 1,
      cache,
      remasking: "low_confidence",
      choices: [{ ...GREEDY, step }],
      stopAtEnd: false,
    }));

// Memory is bounded for the whole process.
alone(import.meta.url, () => {
  Deno.test("memory runs out in a run: canvases are as before, and parts of it run", async () => {
    using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), { kvCache: "f32" });
    const [short, long] = [40, 200];
    const run = async (canvas: ReturnType<typeof canvasOf>, steps: CanvasStep[]) => {
      const [commits] = await model.runTogether([canvas.stepsJob(steps)], steps.length);
      return commits;
    };
    const ids = new Uint32Array(long).fill(model.config.maskTokenId);
    const predict = { ids, positions: Uint32Array.of(3, 150), choice: GREEDY };
    const expected = await run(canvasOf(model, short, "a"), stepsOf(short));
    const second = await run(canvasOf(model, long, "b"), stepsOf(long));
    const [third] = await model.predict([predict]);

    using poor = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), { kvCache: "f32" });
    using watch = new DeviceWatch(anyGpu);
    const a = canvasOf(poor, short, "a");
    const b = canvasOf(poor, long, "b");
    const [first, ...rest] = stepsOf(short);
    const [found] = await poor.runTogether([a.stepsJob([first])], 1);
    assertEquals(found, expected.slice(0, 1));
    const free = poor.pages.free;
    {
      // What the short canvas took is there; nothing larger is.
      using _ = scarceMemory(anyGpu, watch.largestBuffer);
      const asked = () => [a.stepsJob(rest), b.stepsJob(stepsOf(long)), poor.predictJob([predict])];
      for (let i = 0; i < 2; i++) {
        await assertRejects(() => poor.runTogether(asked(), 4), GpuMemoryError);
      }
      // A pass without the pool: its rows are too many.
      const both = () => [a.stepsJob(rest), poor.predictJob([predict])];
      await assertRejects(() => poor.runTogether(both(), 4), GpuMemoryError);
      assert(poor.pages.free <= free, "the short canvas keeps its pages");
      const [own] = await poor.runTogether([a.stepsJob(rest)], 4);
      assertEquals(own, expected.slice(1));
    }
    const [other, predicted] = await poor.runTogether(
      [b.stepsJob(stepsOf(long)), poor.predictJob([predict])],
      4,
    );
    assertEquals(other, second);
    assertEquals(predicted, [third]);
    a.destroy();
    b.destroy();
    assertEquals(poor.pages.free, poor.pages.total);
    anyGpu.throwIfFaulty();
  });

  Deno.test("memory runs out for the copy of a shared page: it stays shared, and is copied later", async () => {
    using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), { kvCache: "f32" });
    const length = 40;
    const [first, ...rest] = stepsOf(length);
    const equal = ["a", "a"].map((seed) => canvasOf(model, length, seed));
    const both = async (canvases: typeof equal) => {
      await model.runTogether(canvases.map((canvas) => canvas.stepsJob([first])), 1);
      return model.runTogether(canvases.map((canvas) => canvas.stepsJob(rest)), rest.length);
    };
    const expected = await both(["a", "b"].map((seed) => canvasOf(model, length, seed)));
    await model.runTogether(equal.map((canvas) => canvas.stepsJob([first])), 1);
    assertEquals(model.pages.shared, 2);
    {
      // There is room for all that a pass takes, which is there, and for nothing else.
      using _ = scarceMemory(anyGpu, 0);
      await assertRejects(
        () => model.runTogether([equal[0].stepsJob(rest)], rest.length),
        GpuMemoryError,
      );
    }
    assertEquals(model.pages.shared, 2);
    for (const canvas of equal) {
      const [found] = await model.runTogether([canvas.stepsJob(rest)], rest.length);
      assertEquals(found, expected[0]);
    }
    anyGpu.throwIfFaulty();
  });
});
