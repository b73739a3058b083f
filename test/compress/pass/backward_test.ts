import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { pretrainCases } from "../../../src/compress/parity/pretrain_cases.ts";
import { readParameter, TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import { CROSS_ENTROPY } from "../../../src/compress/pass/training_loss.ts";
import {
  TrainingPass,
  type TrainingPassOptions,
} from "../../../src/compress/pass/training_pass.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { allForms, anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import {
  type CheckpointShape,
  configOf,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";
import { goldenPath } from "../../reference/golden.ts";
import { ReferenceLlada } from "../../reference/llada.ts";
import { readCheckpoint } from "../../reference/read.ts";
import { batchOf, farthest, randomBatch, referenceLoss } from "./batches.ts";

for (const [form, gpu] of allForms) {
  Deno.test(`golden loss and gradients, ${form}`, async () => {
    const wrong = [];
    for await (const result of pretrainCases(goldenPath(""), gpu)) {
      if (!result.passed) wrong.push(result);
    }
    assertEquals(wrong, []);
  });
}

/** Sizes of which none is a multiple of 8 where that is possible. */
const ODD: CheckpointShape = {
  heads: 4,
  kvHeads: 2,
  headDim: 18,
  layers: 2,
  ffnSize: 21,
  vocabSize: 27,
  extraRows: 2,
};
const TIED: CheckpointShape = {
  heads: 2,
  kvHeads: 2,
  headDim: 16,
  layers: 3,
  ffnSize: 40,
  vocabSize: 32,
  tied: true,
};

/** All gradients of a step, by name. */
async function gradientsOf(
  space: TrainingSpace,
  parameters: TrainingParameters,
  batches: readonly TrainingBatch[],
  options?: TrainingPassOptions,
): Promise<{ readonly loss: number; readonly gradients: Map<string, Float32Array> }> {
  using pass = new TrainingPass(space, parameters, options);
  parameters.clearGradients(space.recorder);
  const { terms } = await pass.step(batches, CROSS_ENTROPY);
  const gradients = new Map<string, Float32Array>();
  for (const { name, layout, gradient } of parameters.trained) {
    const { readback, recorder } = space;
    gradients.set(name, await readParameter(readback, recorder, layout, gradient));
  }
  return { loss: terms.loss, gradients };
}

for (
  const [name, shape] of Object.entries({ "grouped queries and odd sizes": ODD, "tied head": TIED })
) {
  Deno.test(`${name}: gradients are those of differences of the reference's loss`, async () => {
    await withFolder(async (dir) => {
      await writeCheckpoint(dir, shape, name);
      const weights = new Map([...readCheckpoint(dir)].map(([name, { data }]) => [name, data]));
      const config = configOf(shape) as unknown as ReferenceLlada["config"];
      const reference = new ReferenceLlada(config, weights);
      const batch = randomBatch([5, 1, 9], shape.vocabSize, name);
      using space = new TrainingSpace(anyGpu);
      using parameters = TrainingParameters.load(anyGpu, dir);
      const { loss, gradients } = await gradientsOf(space, parameters, [batch]);
      assertAlmostEquals(loss / referenceLoss(reference, batch), 1, 1e-6);
      assertEquals([...gradients.keys()].sort(), [...weights.keys()].sort());
      for (const [tensor, gradient] of gradients) {
        const random = new Random(tensor);
        const direction = Float64Array.from(gradient, () => random.normal());
        const moved = (by: number) => {
          const there = weights.get(tensor)!.map((value, i) => value + by * direction[i]);
          const other = new ReferenceLlada(config, new Map([...weights, [tensor, there]]));
          return referenceLoss(other, batch);
        };
        const step = 1e-5;
        const expected = (moved(step) - moved(-step)) / (2 * step);
        const found = gradient.reduce((sum, value, i) => sum + value * direction[i], 0);
        const size = Math.hypot(...gradient);
        assert(size > 0, `${tensor} has a gradient of 0`);
        // A wrong entry shows by its share of the whole.
        assertAlmostEquals(found / size, expected / size, 1e-4, tensor);
      }
    });
  });
}

Deno.test("sequences of which nothing is asked change no gradient", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, ODD, "unasked");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    const [before, asked, behind] = [[3, 1, 4, 1, 5], [9, 2, 6, 5], [3, 5]];
    const all = batchOf([before, asked, behind]);
    const some = { targets: Uint32Array.of(7, 8), weights: Float32Array.of(0.5, 0.25) };
    const alone = { ...batchOf([asked]), ...some, rows: Uint32Array.of(1, 3) };
    const among = { ...all, ...some, rows: Uint32Array.of(6, 8) };
    const expected = await gradientsOf(space, parameters, [alone]);
    const found = await gradientsOf(space, parameters, [among]);
    assertAlmostEquals(found.loss, expected.loss, 1e-6);
    for (const [name, gradient] of expected.gradients) {
      const largest = farthest(gradient, new Float32Array(gradient.length));
      assert(largest > 0, name);
      assert(farthest(found.gradients.get(name)!, gradient) <= 2e-5 * largest, name);
    }
  });
});

Deno.test("kept or made again, activations give the same bits; so does a second run", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, ODD, "kept");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    const batches = [randomBatch([7, 20], 27, "first"), randomBatch([33], 27, "second")];
    const remade = await gradientsOf(space, parameters, batches);
    assertEquals(await gradientsOf(space, parameters, batches), remade);
    assertEquals(await gradientsOf(space, parameters, batches, { keepActivations: true }), remade);
  });
});

Deno.test("gradients of micro-batches join, and logits in small chunks change only their rounding", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, ODD, "joined");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    const batches = [randomBatch([60, 30], 27, "first"), randomBatch([33], 27, "second")];
    const both = await gradientsOf(space, parameters, batches);
    const [first, second] = [
      await gradientsOf(space, parameters, batches.slice(0, 1)),
      await gradientsOf(space, parameters, batches.slice(1)),
    ];
    assertAlmostEquals(both.loss, first.loss + second.loss, 1e-6 * both.loss);
    const narrow = await gradientsOf(space, parameters, batches, { logitsBytes: 32 * 4 * 64 });
    const single = await gradientsOf(space, parameters, batches, { logitsBytes: 1 });
    for (const [name, gradient] of both.gradients) {
      const largest = farthest(gradient, new Float32Array(gradient.length));
      const sum = first.gradients.get(name)!.map((value, i) =>
        value + second.gradients.get(name)![i]
      );
      for (const other of [sum, narrow.gradients.get(name)!, single.gradients.get(name)!]) {
        assert(farthest(other, gradient) <= 2e-5 * largest, name);
      }
    }
  });
});

Deno.test("a batch that asks for nothing leaves gradients of 0", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, TIED, "nothing");
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    const none = {
      rows: new Uint32Array(),
      targets: new Uint32Array(),
      weights: new Float32Array(),
    };
    const batch = { ...randomBatch([4], 32, "nothing"), ...none };
    const { loss, gradients } = await gradientsOf(space, parameters, [batch]);
    assertEquals(loss, 0);
    for (const [name, gradient] of gradients) assert(gradient.every((value) => value === 0), name);
  });
});
